#include "vault/cutoff_work.h"
#include "vault/revoker.h"
#include "vault/rows_lease.h"

/* Rows that are looked at in one turn: some 10 ms, one commit. */
#define PAGE_ROWS 1024U
/* Between attempts to write what could not be written. */
#define REWRITE_USEC (5 * USEC_PER_SEC)

struct CutoffWork {
        Vault *vault;
        Timer *timer;
        List waits; /* CutoffWait */
};

static int work_page(Vault *vault, CutoffRecord *cutoff)
{
        int r = db_begin(vault->db);

        if (r == 0)
                r = rows_lease_apply_cutoff(vault->db, cutoff, cutoff->time, PAGE_ROWS, NULL);
        if (r == 0 && cutoff->progress >= cutoff->sequence)
                cutoff->step = CUTOFF_APPLIED;
        if (r == 0)
                r = rows_cutoff_set_progress(vault->db, cutoff);
        return r == 0 ? vault_commit(vault) : r;
}

/* Who waits may cancel others from within, so the ring is walked anew after each call. */
static int tell(CutoffWork *work, uint64_t id)
{
        bool any = true;
        int r = 0;

        while (r == 0 && any) {
                any = false;
                LIST_FOREACH(node, &work->waits) {
                        CutoffWait *wait = container_of(node, CutoffWait, link);

                        if (wait->id != id)
                                continue;
                        list_remove(&wait->link);
                        any = true;
                        r = wait->done(wait->userdata);
                        break;
                }
        }
        return r;
}

/* One page a turn of the loop: what else came in meanwhile is served in between. */
static int on_timer(void *userdata)
{
        CutoffWork *work = userdata;
        CutoffRecord cutoff;
        Failure failure;
        int r = rows_cutoff_next(work->vault->db, CUTOFF_SESSIONS_ENDED, 0, &cutoff);

        if (r == DB_E_NOT_FOUND)
                return 0;
        if (r == 0)
                r = work_page(work->vault, &cutoff);
        if (vault_db_failed(work->vault, r, &failure)) {
                timer_arm_after(work->timer, REWRITE_USEC);
                return 0;
        }
        timer_arm_after(work->timer, 0);
        r = revoker_wake(work->vault->revoker);
        return r == 0 && cutoff.step == CUTOFF_APPLIED ? tell(work, cutoff.id) : r;
}

int cutoff_work_new(CutoffWork **ret, Vault *vault)
{
        CutoffWork *work = calloc(1, sizeof(*work));
        int r;

        if (!work)
                return -ENOMEM;
        work->vault = vault;
        list_init(&work->waits);
        r = timer_new(&work->timer, vault->role.loop, on_timer, work);
        if (r < 0) {
                free(work);
                return r;
        }
        *ret = work;
        return 0;
}

CutoffWork *cutoff_work_free(CutoffWork *work)
{
        if (!work)
                return NULL;
        while (!list_empty(&work->waits))
                list_remove(work->waits.next);
        timer_free(work->timer);
        free(work);
        return NULL;
}

void cutoff_work_wake(CutoffWork *work)
{
        timer_arm_after(work->timer, 0);
}

void cutoff_work_wait(CutoffWork *work, CutoffWait *wait)
{
        list_append(&work->waits, &wait->link);
}

bool cutoff_wait_cancel(CutoffWait *wait)
{
        bool waits = wait->link.next && !list_empty(&wait->link);

        list_remove(&wait->link);
        return waits;
}
