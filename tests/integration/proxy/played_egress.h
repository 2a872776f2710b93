#pragma once
/*
 * An egress of one profile, played: it says what requests it gets, one JSON line each, and answers as
 * their path asks it to.
 */
#include "base/list.h"
#include "ipc/channel.h"
#include "ipc/lane.h"

typedef struct PlayedEgress {
        List link;
        Loop *loop;
        char profile[65];
        Channel *channel;
        List lanes;
        unsigned n_opened; /* lanes, since the start */
} PlayedEgress;

/* Answers on the edge `fd`, which is taken over. */
int played_egress_new(PlayedEgress **ret, Loop *loop, const char *profile, int fd) NODISCARD;
/* As a process that dies: its edge and its lanes end. */
PlayedEgress *played_egress_free(PlayedEgress *egress);
/* Sends to all exchanges that wait for it (/hold, /sse): bytes, the end, or a failure. */
int played_egress_data(PlayedEgress *egress, const char *text) NODISCARD;
int played_egress_end(PlayedEgress *egress) NODISCARD;
int played_egress_fail(PlayedEgress *egress, const char *reason) NODISCARD;

/* One line on stdout. */
void say(const char *format, ...) PRINTF_LIKE(1, 2);
/* A JSON string with its quotes, of any bytes. */
void say_string(const char *text, size_t size);
