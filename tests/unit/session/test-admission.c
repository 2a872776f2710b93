#include "../base/suite.h"
#include "session/admission.h"

#define N 400U

static uint64_t now = USEC_PER_SEC;

static uint64_t boot(UNUSED const Clock *clock)
{
        return now;
}

static const Clock played = { boot, boot };

typedef struct Peer {
        Admission admission;
        Admissions *admissions;
        unsigned went, evicted;
} Peer;

static void go(Admission *admission)
{
        container_of(admission, Peer, admission)->went++;
}

static void evict(Admission *admission)
{
        Peer *peer = container_of(admission, Peer, admission);

        peer->evicted++;
        admissions_leave(peer->admissions, admission);
}

static Loop *loop;
static Admissions admissions;
static Peer peers[N];

static void setup(void)
{
        ck_assert_int_eq(loop_new(&loop, &played), 0);
        ck_assert_int_eq(admissions_init(&admissions, loop), 0);
        for (size_t i = 0; i < N; i++) {
                peers[i] = (Peer){ .admission = { .go = go, .evict = evict }, .admissions = &admissions };
                list_init(&peers[i].admission.link);
        }
}

static void teardown(void)
{
        admissions_deinit(&admissions);
        loop = loop_free(loop);
}

static unsigned gone(void)
{
        unsigned n = 0;

        for (size_t i = 0; i < N; i++)
                n += peers[i].went;
        return n;
}

static void pass(uint64_t usec)
{
        now += usec;
        ck_assert_int_eq(loop_dispatch(loop, 0), 0);
}

START_TEST(rate_is_kept)
{
        for (size_t i = 0; i < N; i++) {
                admissions_enter(&admissions, &peers[i].admission);
                if (peers[i].went)
                        admissions_leave(&admissions, &peers[i].admission);
        }
        ck_assert_uint_eq(gone(), ADMISSION_BURST);
        for (unsigned i = 0; i < 100; i++) {
                pass(10 * USEC_PER_MSEC);
                for (size_t k = 0; k < N; k++)
                        if (peers[k].went)
                                admissions_leave(&admissions, &peers[k].admission);
        }
        ck_assert_uint_ge(gone(), ADMISSION_BURST + ADMISSION_PER_SECOND - 2);
        ck_assert_uint_le(gone(), ADMISSION_BURST + ADMISSION_PER_SECOND + 2);
}
END_TEST

START_TEST(places_are_given_up_by_those_that_hang)
{
        for (size_t i = 0; i < ADMISSION_RUNNING_MAX + 10; i++)
                admissions_enter(&admissions, &peers[i].admission);
        ck_assert_uint_eq(gone(), ADMISSION_RUNNING_MAX);
        pass(ADMISSION_GRACE_USEC / 2);
        ck_assert_uint_eq(gone(), ADMISSION_RUNNING_MAX);
        for (unsigned i = 0; i < 20; i++)
                pass(ADMISSION_GRACE_USEC);
        ck_assert_uint_eq(gone(), ADMISSION_RUNNING_MAX + 10);
        ck_assert_uint_eq(peers[0].evicted, 1);
}
END_TEST

START_TEST(who_leaves_while_waiting_is_not_called)
{
        for (size_t i = 0; i < ADMISSION_RUNNING_MAX + 2; i++)
                admissions_enter(&admissions, &peers[i].admission);
        admissions_leave(&admissions, &peers[ADMISSION_RUNNING_MAX].admission);
        admissions_leave(&admissions, &peers[0].admission);
        admissions_leave(&admissions, &peers[0].admission);
        pass(1);
        ck_assert_uint_eq(peers[ADMISSION_RUNNING_MAX].went, 0);
        ck_assert_uint_eq(peers[ADMISSION_RUNNING_MAX + 1].went, 1);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("admission");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, rate_is_kept);
        tcase_add_test(tcase, places_are_given_up_by_those_that_hang);
        tcase_add_test(tcase, who_leaves_while_waiting_is_not_called);
        return suite_run("admission", tcase);
}
