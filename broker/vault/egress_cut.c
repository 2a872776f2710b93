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

static int on_cut(void *userdata, const Reply *reply)
{
        CutStep *step = userdata;

        step->call = NULL;
        if (reply->fault != FAULT_NONE)
                return step_kill(step);
        egress_link_drop_user(step->egress, step->session, step->grants, step->whole);
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

/*
 * Asks one process. It is down only where nothing of it lives. Where the session's process was never connected with
 * it, nothing of the session can be sent: it is told behind the grant, but not waited for.
 */
static int cut_link(EgressLink *egress, Cut *cut, const char *session, bool whole)
{
        EgressCutRequest request = { .session = session };
        const User *user = egress_link_user(egress, session);
        CutStep *step;
        int r;

        if (!user || (!user->reached && egress->state != LINK_UP))
                return 0;
        if (!user->holds) { /* it was cut before */
                egress_link_drop_user(egress, session, user->grants, whole);
                return 0;
        }
        step = calloc(1, sizeof(*step));
        if (!step)
                return -ENOMEM;
        list_init(&step->link);
        r = timer_new(&step->timer, egress->egresses->config.loop, on_cut_late, step);
        if (r < 0) {
                free(step);
                return r;
        }
        step->egress = egress;
        step->cut = user->reached ? cut : NULL;
        step->grants = user->grants;
        step->whole = whole;
        (void)snprintf(step->session, sizeof(step->session), "%s", session);
        if (step->cut)
                cut->waiting++;
        if (egress->state != LINK_UP) {
                list_append(&egress->cuts, &step->link);
                return 0;
        }
        list_append(&egress->egresses->cutting, &step->link);
        timer_arm_after(step->timer, user->reached ? CUT_USEC : CUT_UNREACHED_USEC);
        return channel_call(egress->channel, EGRESS_CUT, &request, NULL, 0, CUT_CALL_USEC, on_cut, step, &step->call);
}

int egresses_cut(Egresses *egresses, const char *session, const char *profile, EgressCutDone done, void *userdata)
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
                q = cut_link(egress, cut, session, !profile);
                r = r < 0 ? r : q;
                q = egress_job_drop(egress, session);
                r = r < 0 ? r : q;
        }
        q = cut_step(cut);
        return r < 0 ? r : q;
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
