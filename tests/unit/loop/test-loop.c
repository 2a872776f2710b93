#undef NDEBUG
#include "loop/loop.h"
#include "base/fd.h"
#include "../base/suite.h"
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* A clock that stands still until it is moved. */
typedef struct TestClock {
        Clock clock; /* first */
        uint64_t now;
} TestClock;

static uint64_t test_now(const Clock *clock)
{
        return ((const TestClock *)(const void *)clock)->now;
}

static Loop *loop;
static TestClock now;

static void setup(void)
{
        now = (TestClock){ .clock = { test_now, test_now }, .now = 1000 * USEC_PER_SEC };
        ck_assert_int_eq(loop_new(&loop, &now.clock), 0);
}

static void teardown(void)
{
        loop = loop_free(loop);
}

typedef struct Watch {
        Source *source;
        Source *victim; /* freed in the callback */
        int pair[2];
        unsigned calls;
        uint32_t events;
        int result;
} Watch;

static int on_event(void *userdata, uint32_t events)
{
        Watch *watch = userdata;

        watch->calls++;
        watch->events = events;
        if (watch->victim)
                watch->victim = source_free(watch->victim);
        return watch->result;
}

static void watch_new(Watch *watch, uint32_t events)
{
        *watch = (Watch){ 0 };
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, watch->pair), 0);
        ck_assert_int_eq(source_new(&watch->source, loop, watch->pair[0], events, on_event, watch),
                         0);
}

static void watch_free(Watch *watch)
{
        source_free(watch->source);
        fd_close_all(watch->pair, 2);
}

START_TEST(source_is_level_triggered)
{
        Watch watch;

        watch_new(&watch, EPOLLIN);
        ck_assert_int_eq(loop_dispatch(loop, 0), 0);
        ck_assert_uint_eq(watch.calls, 0);
        ck_assert_int_eq(fd_write_all(watch.pair[1], "x", 1), 0);
        ck_assert_int_eq(loop_dispatch(loop, 0), 0);
        ck_assert_int_eq(loop_dispatch(loop, 0), 0);
        ck_assert_uint_eq(watch.calls, 2);
        ck_assert(watch.events & EPOLLIN);
        ck_assert_int_eq(source_set_events(watch.source, 0), 0);
        ck_assert_int_eq(loop_dispatch(loop, 0), 0);
        ck_assert_uint_eq(watch.calls, 2);
        watch_free(&watch);
}
END_TEST

START_TEST(hang_up_is_reported_without_asking)
{
        Watch watch;

        watch_new(&watch, 0);
        watch.pair[1] = fd_close(watch.pair[1]);
        ck_assert_int_eq(loop_dispatch(loop, 0), 0);
        ck_assert_uint_eq(watch.calls, 1);
        ck_assert(watch.events & EPOLLHUP);
        watch_free(&watch);
}
END_TEST

START_TEST(source_may_free_itself)
{
        Watch watch;

        watch_new(&watch, EPOLLIN);
        watch.victim = watch.source;
        ck_assert_int_eq(fd_write_all(watch.pair[1], "x", 1), 0);
        ck_assert_int_eq(loop_dispatch(loop, 0), 0);
        ck_assert_int_eq(loop_dispatch(loop, 0), 0);
        ck_assert_uint_eq(watch.calls, 1);
        watch.source = NULL;
        watch_free(&watch);
}
END_TEST

/* Two are ready in the same round, and the first that runs frees the second: it must not be called.
 */
START_TEST(source_may_free_another_that_is_ready)
{
        Watch a, b;

        watch_new(&a, EPOLLIN);
        watch_new(&b, EPOLLIN);
        a.victim = b.source;
        b.victim = a.source;
        ck_assert_int_eq(fd_write_all(a.pair[1], "x", 1), 0);
        ck_assert_int_eq(fd_write_all(b.pair[1], "x", 1), 0);
        ck_assert_int_eq(loop_dispatch(loop, 0), 0);
        ck_assert_uint_eq(a.calls + b.calls, 1);
        a.source = a.calls ? a.source : NULL;
        b.source = b.calls ? b.source : NULL;
        watch_free(&a);
        watch_free(&b);
}
END_TEST

START_TEST(error_of_a_callback_ends_the_loop)
{
        Watch watch;

        watch_new(&watch, EPOLLIN);
        watch.result = -EXDEV;
        ck_assert_int_eq(fd_write_all(watch.pair[1], "x", 1), 0);
        ck_assert_int_eq(loop_run(loop), -EXDEV);
        watch_free(&watch);
}
END_TEST

typedef struct Alarm {
        Timer *timer;
        Timer *victim;
        unsigned calls;
        unsigned order; /* when it was called last, counted over all alarms */
        uint64_t rearm; /* 0: not again */
        int result;
        bool exits;
} Alarm;

static unsigned alarms;

static int on_alarm(void *userdata)
{
        Alarm *alarm = userdata;

        alarm->calls++;
        alarm->order = ++alarms;
        if (alarm->victim)
                alarm->victim = timer_free(alarm->victim);
        if (alarm->rearm)
                timer_arm_after(alarm->timer, alarm->rearm - 1);
        if (alarm->exits)
                loop_exit(loop, 42);
        return alarm->result;
}

static void alarm_new(Alarm *alarm)
{
        *alarm = (Alarm){ 0 };
        ck_assert_int_eq(timer_new(&alarm->timer, loop, on_alarm, alarm), 0);
}

static void turn(uint64_t usec)
{
        now.now += usec;
        ck_assert_int_eq(loop_dispatch(loop, 0), 0);
}

START_TEST(timer_fires_once_and_not_early)
{
        Alarm alarm;

        alarm_new(&alarm);
        turn(10);
        ck_assert_uint_eq(alarm.calls, 0);
        timer_arm_after(alarm.timer, 100);
        turn(99);
        ck_assert_uint_eq(alarm.calls, 0);
        turn(1);
        ck_assert_uint_eq(alarm.calls, 1);
        turn(1000);
        ck_assert_uint_eq(alarm.calls, 1);
        timer_free(alarm.timer);
}
END_TEST

START_TEST(timers_fire_in_order)
{
        Alarm a, b, c;

        alarm_new(&a);
        alarm_new(&b);
        alarm_new(&c);
        timer_arm_after(b.timer, 200);
        timer_arm_after(c.timer, 300);
        timer_arm_after(a.timer, 100);
        turn(500);
        ck_assert(a.calls == 1 && b.calls == 1 && c.calls == 1);
        ck_assert(a.order < b.order && b.order < c.order);
        timer_free(a.timer);
        timer_free(b.timer);
        timer_free(c.timer);
}
END_TEST

START_TEST(timer_is_moved_and_disarmed)
{
        Alarm alarm;

        alarm_new(&alarm);
        timer_disarm(alarm.timer);
        timer_arm_after(alarm.timer, 100);
        timer_arm_after(alarm.timer, 300);
        turn(200);
        ck_assert_uint_eq(alarm.calls, 0);
        timer_disarm(alarm.timer);
        turn(200);
        ck_assert_uint_eq(alarm.calls, 0);
        timer_arm(alarm.timer, now.now - 1);
        turn(0);
        ck_assert_uint_eq(alarm.calls, 1);
        timer_arm_after(alarm.timer, USEC_INFINITY);
        turn(1);
        ck_assert_uint_eq(alarm.calls, 1);
        timer_free(alarm.timer);
}
END_TEST

/* Whoever asks for it more often than it takes would have it never otherwise. */
START_TEST(timer_that_is_armed_within_is_not_put_off)
{
        Alarm alarm;

        alarm_new(&alarm);
        for (unsigned i = 0; i < 10; i++) {
                timer_arm_within(alarm.timer, 100);
                turn(30);
        }
        ck_assert_uint_eq(alarm.calls, 2); /* after 120, and 120 later */
        timer_arm_after(alarm.timer, 1000);
        timer_arm_within(alarm.timer, 10); /* it comes sooner if it has to */
        turn(10);
        ck_assert_uint_eq(alarm.calls, 3);
        timer_free(alarm.timer);
}
END_TEST

/* Or a timer that is always due would starve every source. */
START_TEST(timer_armed_for_now_waits_for_the_next_round)
{
        Alarm alarm;

        alarm_new(&alarm);
        alarm.rearm = 1;
        timer_arm_after(alarm.timer, 0);
        turn(0);
        ck_assert_uint_eq(alarm.calls, 1);
        turn(0);
        ck_assert_uint_eq(alarm.calls, 2);
        timer_free(alarm.timer);
}
END_TEST

START_TEST(timer_may_free_itself_and_another_that_is_due)
{
        Alarm a, b;

        alarm_new(&a);
        alarm_new(&b);
        a.victim = b.timer;
        timer_arm_after(a.timer, 1);
        timer_arm_after(b.timer, 2);
        turn(10);
        ck_assert(a.calls == 1 && b.calls == 0);
        a.victim = a.timer;
        timer_arm_after(a.timer, 1);
        turn(10);
        ck_assert_uint_eq(a.calls, 2);
        ck_assert_ptr_null(timer_free(NULL));
}
END_TEST

START_TEST(error_of_a_timer_leaves_the_others_armed)
{
        Alarm a, b;

        alarm_new(&a);
        alarm_new(&b);
        a.result = -EXDEV;
        timer_arm_after(a.timer, 1);
        timer_arm_after(b.timer, 2);
        now.now += 10;
        ck_assert_int_eq(loop_dispatch(loop, 0), -EXDEV);
        ck_assert_uint_eq(b.calls, 0);
        turn(0);
        ck_assert_uint_eq(b.calls, 1);
        timer_free(a.timer);
        timer_free(b.timer);
}
END_TEST

START_TEST(exit_gives_its_code)
{
        Alarm alarm;

        alarm_new(&alarm);
        alarm.exits = true;
        timer_arm_after(alarm.timer, 0);
        ck_assert_int_eq(loop_run(loop), 42);
        timer_free(alarm.timer);
}
END_TEST

static int on_signal(void *userdata, int signal)
{
        *(int *)userdata = signal;
        return 0;
}

START_TEST(signals_arrive_in_the_loop)
{
        Signals *signals = NULL;
        sigset_t set;
        int got = 0;

        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        ck_assert_int_eq(signals_new(&signals, loop, &set, on_signal, &got), 0);
        ck_assert_int_eq(raise(SIGUSR1), 0);
        ck_assert_int_eq(loop_dispatch(loop, 1000), 0);
        ck_assert_int_eq(got, SIGUSR1);
        ck_assert_ptr_null(signals_free(signals));
}
END_TEST

START_TEST(bad_descriptor_is_refused)
{
        Source *source = NULL;

        ck_assert_int_eq(source_new(&source, loop, -1, EPOLLIN, on_event, NULL), -EBADF);
        ck_assert_ptr_null(source);
        ck_assert_ptr_null(source_free(NULL));
        ck_assert_ptr_null(loop_free(NULL));
}
END_TEST

/* The real clock: the wait ends when the timer is due, neither before nor long after. */
START_TEST(waits_for_the_first_timer)
{
        Loop *real = NULL;
        Alarm alarm = { 0 };
        uint64_t before = clock_boot(&clock_system);

        ck_assert_int_eq(loop_new(&real, &clock_system), 0);
        ck_assert_int_eq(timer_new(&alarm.timer, real, on_alarm, &alarm), 0);
        timer_arm_after(alarm.timer, 30 * USEC_PER_MSEC);
        ck_assert_int_eq(loop_dispatch(real, -1), 0);
        ck_assert_uint_eq(alarm.calls, 1);
        ck_assert_uint_ge(clock_boot(&clock_system) - before, 30 * USEC_PER_MSEC);
        timer_free(alarm.timer);
        loop_free(real);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("loop");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, source_is_level_triggered);
        tcase_add_test(tcase, hang_up_is_reported_without_asking);
        tcase_add_test(tcase, source_may_free_itself);
        tcase_add_test(tcase, source_may_free_another_that_is_ready);
        tcase_add_test(tcase, error_of_a_callback_ends_the_loop);
        tcase_add_test(tcase, timer_fires_once_and_not_early);
        tcase_add_test(tcase, timers_fire_in_order);
        tcase_add_test(tcase, timer_is_moved_and_disarmed);
        tcase_add_test(tcase, timer_that_is_armed_within_is_not_put_off);
        tcase_add_test(tcase, timer_armed_for_now_waits_for_the_next_round);
        tcase_add_test(tcase, timer_may_free_itself_and_another_that_is_due);
        tcase_add_test(tcase, error_of_a_timer_leaves_the_others_armed);
        tcase_add_test(tcase, exit_gives_its_code);
        tcase_add_test(tcase, signals_arrive_in_the_loop);
        tcase_add_test(tcase, bad_descriptor_is_refused);
        tcase_add_test(tcase, waits_for_the_first_timer);
        return suite_run("loop", tcase);
}
