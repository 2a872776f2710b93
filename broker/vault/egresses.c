#include "vault/egress_link.h"

/* What nobody uses is stopped. */
#define IDLE_USEC (300 * USEC_PER_SEC)
#define LOOK_USEC (30 * USEC_PER_SEC)

static EgressLink *find(const Egresses *egresses, const char *profile)
{
        LIST_FOREACH(node, &egresses->links) {
                EgressLink *egress = container_of(node, EgressLink, link);

                if (strcmp(egress->profile, profile) == 0)
                        return egress;
        }
        return NULL;
}

static int on_look(void *userdata)
{
        Egresses *egresses = userdata;
        uint64_t now = egresses_now(egresses);
        int r = 0;

        LIST_FOREACH(node, &egresses->links) {
                EgressLink *egress = container_of(node, EgressLink, link);

                if (now - egress->since < IDLE_USEC || !list_empty(&egress->users) || !list_empty(&egress->jobs))
                        continue;
                if (egress->state == LINK_DOWN)
                        egress_link_free(egress);
                else if (r == 0)
                        r = egress_link_stop(egress);
        }
        if (!list_empty(&egresses->links))
                timer_arm_after(egresses->timer, LOOK_USEC);
        return r;
}

int egresses_new(Egresses **ret, const EgressesConfig *config)
{
        Egresses *egresses = calloc(1, sizeof(*egresses));
        int r;

        if (!egresses)
                return -ENOMEM;
        egresses->config = *config;
        list_init(&egresses->links);
        list_init(&egresses->cutting);
        r = timer_new(&egresses->timer, config->loop, on_look, egresses);
        if (r < 0) {
                free(egresses);
                return r;
        }
        *ret = egresses;
        return 0;
}

Egresses *egresses_free(Egresses *egresses)
{
        if (!egresses)
                return NULL;
        while (!list_empty(&egresses->cutting))
                egress_cut_forget(container_of(egresses->cutting.next, CutStep, link));
        while (!list_empty(&egresses->links))
                egress_link_free(container_of(egresses->links.next, EgressLink, link));
        timer_free(egresses->timer);
        free(egresses);
        return NULL;
}

int egresses_grant(Egresses *egresses, const char *profile, const EgressGrantRequest *grant, uint64_t join,
                   EgressDone done, void *userdata)
{
        EgressLink *egress = find(egresses, profile);

        if (!egress) {
                egress = egress_link_new(egresses, profile);
                if (!egress)
                        return -ENOMEM;
                if (egresses->links.next == &egress->link && egresses->links.prev == &egress->link)
                        timer_arm_after(egresses->timer, LOOK_USEC);
        }
        return egress_job_start(egress, grant, join, done, userdata);
}

bool egresses_hold(const Egresses *egresses, const char *session, const char *profile)
{
        const EgressLink *egress = find(egresses, profile);

        const User *user = egress && egress->state == LINK_UP ? egress_link_user(egress, session) : NULL;

        return user && user->holds;
}

bool egresses_joined(const Egresses *egresses, const char *session, const char *profile, uint64_t join)
{
        const EgressLink *egress = find(egresses, profile);
        const User *user = egress && egress->state == LINK_UP ? egress_link_user(egress, session) : NULL;

        return user && user->holds && user->joined == join;
}

size_t egresses_count(const Egresses *egresses)
{
        size_t n = 0;

        LIST_FOREACH(node, &egresses->links)
                n += container_of(node, EgressLink, link)->state != LINK_DOWN;
        return n;
}
