#pragma once
/*
 * One connection that speaks varlink from the client's side: NUL-terminated messages, descriptors
 * beside them, a deadline on each step. The descriptor's own flags are left alone, since an
 * inherited one is shared with other processes.
 */
#include "base/buf.h"
#include "wire/json.h"

#define LINK_MESSAGE_MAX JSON_REPLY_MAX

typedef struct Link {
        int fd;          /* -1: not connected */
        bool borrowed;   /* the descriptor is not closed */
        Buf in;          /* bytes that were read; wiped when they are consumed */
        size_t consumed; /* the message that was given out last, with its NUL */
        int received;    /* a descriptor that came in, not yet taken; -1 */
} Link;

#define LINK_NULL ((Link){ .fd = -1, .in = BUF_NULL(LINK_MESSAGE_MAX + 1), .received = -1 })

enum {
        _LINK_E_SUCCESS,
        LINK_E_CLOSED, /* the other side is gone */
        LINK_E_DEADLINE,
        LINK_E_INVALID, /* too long, or with descriptors that were not expected */
};

/* Sends bytes that end in NUL, with a descriptor unless it is -1. `until` is on the boot clock. */
int link_send(Link *link, Slice message, int fd, uint64_t until) NODISCARD NONNULL(1);
/* The next message without its NUL, valid until the next call. A descriptor that came with it is in
 * link->received. */
int link_receive(Link *link, uint64_t until, Slice *ret) NODISCARD NONNULL(1, 3);
/* Whether the link can take a call: the other side is there, and nothing is left of an earlier one.
 */
bool link_is_idle(const Link *link) NONNULL(1);
/* Wipes the message that was given out last. */
void link_forget(Link *link) NONNULL(1);
/* Closes and wipes; the link can be used again. */
void link_close(Link *link) NONNULL(1);
