#include "supervisor/egresses.h"
#include "base/fd.h"
#include "base/list.h"
#include "wire/field.h"
#include <stdio.h>
#include <sys/socket.h>

/* Somebody who waits for the end of one. */
typedef struct Waiter {
        List link;
        int (*done)(void *userdata);
        void *userdata;
} Waiter;

typedef struct Egress {
        List link;
        Egresses *egresses;
        Child *child;
        char profile[LIMIT_NAME + 1];
        char name[LIMIT_NAME + 8]; /* in the log */
        bool ending;
        List waiters;
} Egress;

struct Egresses {
        EgressesConfig config;
        List running; /* those that are being killed included */
        size_t n;
};

static int egress_free(Egress *egress)
{
        int r = 0;

        list_remove(&egress->link);
        egress->egresses->n--;
        child_free(egress->child);
        while (!list_empty(&egress->waiters)) {
                Waiter *waiter = container_of(egress->waiters.next, Waiter, link);
                int q = waiter->done(waiter->userdata);

                r = r < 0 ? r : q;
                list_remove(&waiter->link);
                free(waiter);
        }
        free(egress);
        return r;
}

int egresses_new(Egresses **ret, const EgressesConfig *config)
{
        Egresses *egresses = calloc(1, sizeof(*egresses));

        if (!egresses)
                return -ENOMEM;
        egresses->config = *config;
        list_init(&egresses->running);
        *ret = egresses;
        return 0;
}

Egresses *egresses_free(Egresses *egresses)
{
        if (!egresses)
                return NULL;
        while (!list_empty(&egresses->running))
                if (egress_free(container_of(egresses->running.next, Egress, link)) < 0)
                        continue; /* who was told is the vault, and it is about to end as well */
        free(egresses);
        return NULL;
}

static Egress *find(Egresses *egresses, const char *profile)
{
        LIST_FOREACH(node, &egresses->running)
        {
                Egress *egress = container_of(node, Egress, link);

                if (!egress->ending && strcmp(egress->profile, profile) == 0)
                        return egress;
        }
        return NULL;
}

Child *egresses_find(Egresses *egresses, const char *profile)
{
        const Egress *egress = find(egresses, profile);

        return egress ? egress->child : NULL;
}

static int on_gone(void *userdata, UNUSED Child *child)
{
        return egress_free(userdata);
}

static int egress_new(Egress **ret, Egresses *egresses, const char *profile)
{
        Egress *egress = calloc(1, sizeof(*egress));
        ChildConfig config = {
                .context = egresses->config.context,
                .executable = egresses->config.executable,
                .arguments = egresses->config.arguments,
                .environment = egresses->config.environment,
                .in = &interface_from_worker,
                .out = &interface_to_worker,
                .gone = on_gone,
                .userdata = egress,
        };
        int r;

        if (!egress)
                return -ENOMEM;
        egress->egresses = egresses;
        list_init(&egress->waiters);
        (void)snprintf(egress->profile, sizeof(egress->profile), "%s", profile);
        (void)snprintf(egress->name, sizeof(egress->name), "egress %s", profile);
        config.name = egress->name;
        r = child_new(&egress->child, &config);
        if (r < 0) {
                free(egress);
                return r;
        }
        list_append(&egresses->running, &egress->link);
        egresses->n++;
        *ret = egress;
        return 0;
}

static void end(Egress *egress)
{
        egress->ending = true;
        child_end(egress->child);
}

int egresses_start(Egresses *egresses, const char *profile, int *ret_fd)
{
        _cleanup_(fd_closep) int ours = -1, theirs = -1;
        Egress *egress = find(egresses, profile);
        int pair[2], r;

        if (egress)
                end(egress);
        if (egresses->n >= EGRESSES_MAX)
                return EGRESSES_E_BUSY;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return error_errno();
        ours = pair[0];
        theirs = pair[1];
        r = egress_new(&egress, egresses, profile);
        if (r < 0)
                return r;
        r = child_start(egress->child);
        if (r == 0)
                r = child_attach(egress->child, TO_WORKER_ATTACH, &(AttachRequest){ .peer = ROLE_VAULT }, theirs);
        if (r < 0) {
                (void)egress_free(egress); /* nobody waits for it */
                return r;
        }
        *ret_fd = take_fd(&ours);
        return 0;
}

/* One that is being killed already may still live. */
static Egress *find_last(Egresses *egresses, const char *profile)
{
        Egress *egress = find(egresses, profile);

        LIST_FOREACH(node, &egresses->running)
        {
                if (!egress && strcmp(container_of(node, Egress, link)->profile, profile) == 0)
                        egress = container_of(node, Egress, link);
        }
        return egress;
}

int egresses_stop(Egresses *egresses, const char *profile, int (*done)(void *userdata), void *userdata)
{
        Egress *egress = find_last(egresses, profile);
        Waiter *waiter;

        if (!egress)
                return done(userdata);
        waiter = calloc(1, sizeof(*waiter));
        if (!waiter)
                return -ENOMEM;
        waiter->done = done;
        waiter->userdata = userdata;
        list_append(&egress->waiters, &waiter->link);
        if (!child_is_running(egress->child))
                return egress_free(egress);
        if (!egress->ending)
                end(egress);
        return 0;
}

void egresses_stop_all(Egresses *egresses)
{
        LIST_FOREACH(node, &egresses->running)
        {
                Egress *egress = container_of(node, Egress, link);

                if (!egress->ending)
                        end(egress);
        }
}
