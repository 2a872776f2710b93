#include "vault/egress_link.h"
#include <stdio.h>

/* One that has not forgotten a credential by then is killed: a revocation waits for nobody. */
#define CUT_USEC (250 * USEC_PER_MSEC)
/* Nobody waits for one that may be starting yet: as long as a grant may take. */
#define CUT_UNREACHED_USEC (5 * USEC_PER_SEC)
/* When the time is up, answers that are here already are read first: it may be us who were busy. */
#define CUT_LATE_USEC (20 * USEC_PER_MSEC)
/* The call itself must not end before that. */
#define CUT_CALL_USEC (60 * USEC_PER_SEC)

static int cut_step(Cut *cut)
{
        EgressCutDone done = cut->done;
        void *userdata = cut->userdata;

        if (--cut->waiting > 0)
                return 0;
        free(cut);
        return done(userdata);
}

static void step_free(CutStep *step)
{
        list_remove(&step->link);
        if (step->call)
                call_cancel(step->call);
        timer_free(step->timer);
        session_set_deinit(&step->sessions);
        free(step);
}

static int step_finish(CutStep *step)
{
        Cut *cut = step->cut;

        step_free(step);
        return cut ? cut_step(cut) : 0;
}

/* It has not done as it was told; the step is over when it has been reaped. */
static int step_kill(CutStep *step)
{
        EgressLink *egress = step->egress;

        timer_disarm(step->timer);
        list_remove(&step->link);
        if (egress->state != LINK_UP && egress->state != LINK_STOPPING) /* it was stopped meanwhile */
                return step_finish(step);
        list_append(&egress->cuts, &step->link);
        return egress_link_stop(egress);
}

/* One walk, however many there are. What was granted since goes on. */
static void drop_users(CutStep *step)
{
        LIST_FOREACH(node, &step->egress->users) {
                User *user = container_of(node, User, link);

                if (user->cut_by == step->number && user->cut_grants == user->grants)
                        egress_link_drop_user(step->egress, user, step->whole);
        }
}

static int on_cut(void *userdata, const Reply *reply)
{
        CutStep *step = userdata;

        step->call = NULL;
        if (reply->fault != FAULT_NONE)
                return step_kill(step);
        drop_users(step);
        return step_finish(step);
}

static int on_cut_late(void *userdata)
{
        CutStep *step = userdata;

        if (!step->late) {
                step->late = true;
                timer_arm_after(step->timer, CUT_LATE_USEC);
                return 0;
        }
        call_cancel(step->call);
        step->call = NULL;
        return step_kill(step);
}

static int step_new(CutStep **ret, EgressLink *egress, bool whole)
{
        CutStep *step = calloc(1, sizeof(*step));
        int r;

        if (!step)
                return -ENOMEM;
        list_init(&step->link);
        r = timer_new(&step->timer, egress->egresses->config.loop, on_cut_late, step);
        if (r < 0) {
                free(step);
                return r;
        }
        step->egress = egress;
        step->whole = whole;
        step->number = ++egress->egresses->n_cuts;
        *ret = step;
        return 0;
}

static int step_send(CutStep *step)
{
        EgressLink *egress = step->egress;
        _cleanup_(freep) const char **texts = calloc(step->sessions.n, sizeof(*texts));
        EgressCutRequest request = { .sessions = { texts, step->sessions.n } };

        if (!texts)
                return -ENOMEM;
        for (size_t i = 0; i < step->sessions.n; i++)
                texts[i] = step->sessions.ids[i];
        return channel_call(egress->channel, EGRESS_CUT, &request, NULL, 0, CUT_CALL_USEC, on_cut, step, &step->call);
}

/* Where the sessions' processes were never connected with it, nothing of theirs can be sent: it is told behind the
 * grant, but not waited for. */
static int step_begin(CutStep **step_at, Cut *cut, bool reached)
{
        CutStep *step = take_ptr(*step_at);
        EgressLink *egress;

        if (!step)
                return 0;
        egress = step->egress;
        if (reached) {
                step->cut = cut;
                cut->waiting++;
        }
        if (egress->state != LINK_UP) {
                list_append(&egress->cuts, &step->link);
                return 0;
        }
        list_append(&egress->egresses->cutting, &step->link);
        timer_arm_after(step->timer, reached ? CUT_USEC : CUT_UNREACHED_USEC);
        return step_send(step);
}

static int step_add(EgressLink *egress, CutStep **step, User *user, bool whole)
{
        int r = *step ? 0 : step_new(step, egress, whole);

        if (r == 0)
                r = session_set_add(&(*step)->sessions, user->session);
        if (r < 0)
                return r;
        user->cut_by = (*step)->number;
        user->cut_grants = user->grants;
        return 0;
}

/* Asks one process. It is down only where nothing of it lives. */
static int cut_link(EgressLink *egress, Cut *cut, const SessionSet *sessions, bool whole)
{
        CutStep *steps[2] = { NULL, NULL }; /* the second: of sessions whose process was connected with it */
        int r = 0, q;

        LIST_FOREACH(node, &egress->users) {
                User *user = container_of(node, User, link);
                bool reached = user->reached;

                if (r < 0 || !session_set_has(sessions, user->session) || (!reached && egress->state != LINK_UP))
                        continue;
                if (!user->holds) { /* it was cut before */
                        egress_link_drop_user(egress, user, whole);
                        continue;
                }
                r = step_add(egress, &steps[reached], user, whole);
                if (r == 0 && steps[reached]->sessions.n == LIMIT_CUT)
                        r = step_begin(&steps[reached], cut, reached);
        }
        for (int reached = 1; reached >= 0; reached--) {
                q = step_begin(&steps[reached], cut, reached);
                r = r < 0 ? r : q;
        }
        return r;
}

int egresses_cut_set(Egresses *egresses, const SessionSet *sessions, const char *profile, EgressCutDone done,
                     void *userdata)
{
        Cut *cut = calloc(1, sizeof(*cut));
        int r = 0, q;

        if (!cut)
                return -ENOMEM;
        *cut = (Cut){ .waiting = 1, .done = done, .userdata = userdata };
        LIST_FOREACH(node, &egresses->links) {
                EgressLink *egress = container_of(node, EgressLink, link);

                if (profile && strcmp(egress->profile, profile) != 0)
                        continue;
                q = cut_link(egress, cut, sessions, !profile);
                r = r < 0 ? r : q;
                q = egress_job_drop(egress, sessions);
                r = r < 0 ? r : q;
        }
        q = cut_step(cut);
        return r < 0 ? r : q;
}

int egresses_cut(Egresses *egresses, const char *session, const char *profile, EgressCutDone done, void *userdata)
{
        SessionSet one = SESSION_SET_NULL;
        int r = session_set_add(&one, session);

        if (r == 0)
                r = egresses_cut_set(egresses, &one, profile, done, userdata);
        session_set_deinit(&one);
        return r;
}

int egress_cut_stopped(EgressLink *egress)
{
        List cuts;
        int r = 0;

        list_init(&cuts);
        while (!list_empty(&egress->cuts)) {
                List *node = egress->cuts.next;

                list_remove(node);
                list_append(&cuts, node);
        }
        while (!list_empty(&cuts)) {
                int q = step_finish(container_of(cuts.next, CutStep, link));

                r = r < 0 ? r : q;
        }
        return r;
}

void egress_cut_forget(CutStep *step)
{
        if (step->cut && --step->cut->waiting == 0)
                free(step->cut);
        step_free(step);
}
