#pragma once
/*
 * Whether a process at the other end of a control connection may speak there, from what the kernel
 * says of it. Only what stays readable of an undumpable or confined process is relied on: status,
 * uid_map, cgroup and limits; namespace links are used where they can be read. What cannot be told
 * is a refusal.
 */
#include "base/error.h"
#include "base/macros.h"
#include <sys/types.h>

/* A systemd unit's name and a NUL. */
#define ATTEST_UNIT_SIZE 257U

enum {
        _ATTEST_E_SUCCESS,
        ATTEST_E_GONE,       /* it has ended, or its number belongs to another process by now */
        ATTEST_E_UNREADABLE, /* /proc does not say */
        ATTEST_E_UID,        /* it runs as another user than the one that connected */
        ATTEST_E_USER_NS,    /* another user namespace; uid 0 of one is nobody here */
        ATTEST_E_PID_NS,     /* another pid namespace */
        ATTEST_E_MARKED,     /* it carries the mark of a session */
        ATTEST_E_OURS,       /* it is a process of the broker, or was started by one */
};

typedef struct AttestPeer {
        uid_t uid;
        pid_t pid;
        int pidfd; /* as SO_PEERPIDFD gave it, or -1 where the kernel has none */
} AttestPeer;

typedef struct AttestResult {
        char unit[ATTEST_UNIT_SIZE]; /* of its cgroup, or "" */
} AttestResult;

/* ATTEST_E_* or -errno. `supervisor` is the process whose descendants may not speak. */
int attest_peer(AttestResult *ret, const AttestPeer *peer, pid_t supervisor) NODISCARD
        NONNULL(1, 2);
/* What a code means, for the log and for the peer. */
const char *attest_error(int code);

/* ---- the pure parts ---- */

/* Hard RLIMIT_RTTIME of a /proc/PID/limits: 1 finite, 0 unlimited, -EINVAL when it does not say. */
int attest_parse_mark(const char *limits) NODISCARD NONNULL(1);
/* "Name:\tvalue" of a /proc/PID/status; the value ends at the line's end. NULL: no such line. */
const char *attest_status_field(const char *status, const char *name) NONNULL(1, 2);
/*
 * The unit of a /proc/PID/cgroup: the first service or scope below the slices, and below a user's
 * manager the first one there. A process's own subtree can so not choose its name. "" if none.
 */
void attest_parse_unit(const char *cgroup, char unit[ATTEST_UNIT_SIZE]) NONNULL(1, 2);
