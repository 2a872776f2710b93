#pragma once
/* What the tests of the vault's edges share: a moved clock, a loop, an arena, and somebody who answers calls. */
#include "base/fd.h"
#include "ipc/channel.h"
#include <check.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct EdgeClock {
        Clock clock; /* first */
        uint64_t now;
} EdgeClock;

typedef struct Edge {
        EdgeClock clock;
        Loop *loop;
        Arena *arena;
} Edge;

static inline uint64_t edge_now(const Clock *clock)
{
        return ((const EdgeClock *)(const void *)clock)->now;
}

static inline void edge_start(Edge *edge, size_t arena_size)
{
        *edge = (Edge){ .clock = { { edge_now, edge_now }, 1000 * USEC_PER_SEC } };
        ck_assert_int_eq(arena_new(&edge->arena, arena_size), 0);
        ck_assert_int_eq(loop_new(&edge->loop, &edge->clock.clock), 0);
}

static inline void edge_stop(Edge *edge)
{
        edge->loop = loop_free(edge->loop);
        edge->arena = arena_free(edge->arena);
}

static inline void edge_run(Edge *edge)
{
        for (int i = 0; i < 40; i++)
                ck_assert_int_eq(loop_dispatch(edge->loop, 0), 0);
}

static inline void edge_pass(Edge *edge, uint64_t usec)
{
        edge->clock.now += usec;
        edge_run(edge);
}

static inline void edge_pair(int pair[2])
{
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
}

static inline int edge_lowest_fd(void)
{
        int fd = dup(0);

        ck_assert_int_ge(fd, 0);
        fd_close(fd);
        return fd;
}

static inline Channel *edge_channel(Edge *edge, int fd, const Interface *in, const Interface *out,
                                    ChannelHandler handler, void *userdata)
{
        ChannelConfig config = {
                .loop = edge->loop, .arena = edge->arena, .fd = fd,
                .in = in, .out = out, .handler = handler, .userdata = userdata,
        };
        Channel *channel;

        ck_assert_int_eq(channel_new(&channel, &config), 0);
        return channel;
}

static inline int edge_suite(Suite *suite)
{
        SRunner *runner = srunner_create(suite);
        int failed;

        srunner_set_tap(runner, "-");
        srunner_run_all(runner, CK_SILENT);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? 1 : 0;
}
