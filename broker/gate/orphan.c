#include "gate/orphan.h"
#include "base/ident.h"
#include <stdio.h>

/* More than that end by their lifetime. */
#define ORPHANS_MAX 256U
#define TIMEOUT (60U * USEC_PER_SEC)

typedef struct Orphan {
        List link; /* in Gate.orphans while no call is under way */
        Gate *gate;
        Caller caller;
        char *unit;
        char session[IDENT_ID_SIZE + 1];
} Orphan;

static void orphan_free(Orphan *orphan)
{
        list_remove(&orphan->link);
        orphan->gate->n_orphans--;
        free(orphan->unit);
        free(orphan);
}

static int on_closed(void *userdata, const Reply *reply)
{
        Orphan *orphan = userdata;

        if (reply->more)
                return 0;
        if (reply->fault == FAULT_UNAVAILABLE || reply->fault == FAULT_TIMEOUT || reply->fault == FAULT_BUSY)
                list_append(&orphan->gate->orphans, &orphan->link);
        else
                orphan_free(orphan);
        return 0;
}

static int orphan_ask(Orphan *orphan)
{
        CloseSessionRequest body = { .caller = &orphan->caller, .session = orphan->session };

        list_remove(&orphan->link);
        if (!orphan->gate->vault) {
                list_append(&orphan->gate->orphans, &orphan->link);
                return 0;
        }
        return channel_call(orphan->gate->vault, BROKER_CLOSE_SESSION, &body, NULL, 0, TIMEOUT, on_closed, orphan,
                            NULL);
}

int orphan_close(Gate *gate, const char *session, const Caller *caller)
{
        Orphan *orphan = gate->n_orphans < ORPHANS_MAX ? calloc(1, sizeof(*orphan)) : NULL;

        role_log(&gate->role, LOG_LEVEL_INFO, "session %s was opened for a client that is gone: %s", session,
                 orphan ? "closing it" : "it ends with its lifetime");
        if (!orphan)
                return 0;
        list_init(&orphan->link);
        orphan->gate = gate;
        gate->n_orphans++;
        (void)snprintf(orphan->session, sizeof(orphan->session), "%s", session);
        orphan->caller = *caller;
        if (caller->unit) {
                orphan->unit = strdup(caller->unit);
                orphan->caller.unit = orphan->unit;
        }
        return orphan_ask(orphan);
}

int orphan_close_all(Gate *gate)
{
        List waiting;
        int r = 0;

        /* Moved aside first: one that cannot be closed yet goes back to the gate's list. */
        list_init(&waiting);
        LIST_FOREACH(node, &gate->orphans) {
                list_remove(node);
                list_append(&waiting, node);
        }
        while (r >= 0 && !list_empty(&waiting))
                r = orphan_ask(container_of(waiting.next, Orphan, link));
        return r;
}

void orphan_forget_all(Gate *gate)
{
        LIST_FOREACH(node, &gate->orphans)
                orphan_free(container_of(node, Orphan, link));
}
