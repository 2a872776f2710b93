#include "session/admission.h"

#define INTERVAL_USEC (USEC_PER_SEC / ADMISSION_PER_SECOND)
/* For those that wait while all places are taken by ones that have just begun. */
#define RETRY_USEC (20U * USEC_PER_MSEC)

static Admission *first_of(const List *list)
{
        return container_of(list->next, Admission, link);
}

/* Whether there is a place; the oldest of those that hang is told to make one. */
static bool has_place(Admissions *admissions, uint64_t now)
{
        Admission *oldest;

        if (admissions->n_running < ADMISSION_RUNNING_MAX)
                return true;
        oldest = first_of(&admissions->running);
        if (now - oldest->since >= ADMISSION_GRACE_USEC) {
                oldest->since = now; /* told once */
                oldest->evict(oldest);
        }
        timer_arm_after(admissions->timer, RETRY_USEC);
        return false;
}

static void pump(Admissions *admissions)
{
        uint64_t now = clock_boot(loop_clock(admissions->loop));

        while (!list_empty(&admissions->waiting)) {
                Admission *admission = first_of(&admissions->waiting);
                uint64_t budget = now + ADMISSION_BURST * INTERVAL_USEC;

                if (!has_place(admissions, now))
                        return;
                if (admissions->next >= budget) {
                        timer_arm_after(admissions->timer, admissions->next - budget + INTERVAL_USEC);
                        return;
                }
                admissions->next = MAX(admissions->next, now) + INTERVAL_USEC;
                list_remove(&admission->link);
                list_append(&admissions->running, &admission->link);
                admissions->n_running++;
                admission->waiting = false;
                admission->running = true;
                admission->since = now;
                admission->go(admission);
        }
}

static int on_timer(void *userdata)
{
        pump(userdata);
        return 0;
}

int admissions_init(Admissions *admissions, Loop *loop)
{
        *admissions = (Admissions){ .loop = loop };
        list_init(&admissions->waiting);
        list_init(&admissions->running);
        return timer_new(&admissions->timer, loop, on_timer, admissions);
}

void admissions_deinit(Admissions *admissions)
{
        admissions->timer = timer_free(admissions->timer);
}

void admissions_enter(Admissions *admissions, Admission *admission)
{
        list_append(&admissions->waiting, &admission->link);
        admission->waiting = true;
        pump(admissions);
}

void admissions_leave(Admissions *admissions, Admission *admission)
{
        if (!admission->waiting && !admission->running)
                return;
        list_remove(&admission->link);
        if (admission->running)
                admissions->n_running--;
        admission->waiting = admission->running = false;
        if (admissions->timer && !list_empty(&admissions->waiting))
                timer_arm_after(admissions->timer, 0);
}
