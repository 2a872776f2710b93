#pragma once
/* Where the broker of this user is, and whether what is there may be spoken to. */
#include "base/error.h"
#include "base/macros.h"

enum {
        _RUNTIME_E_SUCCESS,
        RUNTIME_E_FOREIGN_DIRECTORY, /* of another user than this one or root, or writable by others
                                      */
        RUNTIME_E_FOREIGN_SERVER,    /* its process is of another user than this one or root */
};

/*
 * The runtime directory by the rules of the header: the first in which there is a socket, otherwise
 * the one in which the broker would make it. The caller frees it. -ENOENT: there is no place for
 * one.
 */
int runtime_find(char **ret) NODISCARD NONNULL(1);
/* Connects to broker.sock in a directory. RUNTIME_E_*, or -errno; -EAGAIN: not within the time. */
int runtime_connect(const char *directory, unsigned timeout_ms, int *ret_fd) NODISCARD
        NONNULL(1, 3);
/* Connects to a socket. With `lax` a server that the sandbox's user namespace does not map, and so
 * shows as the overflow uid, is taken too. */
int runtime_connect_path(const char *path, unsigned timeout_ms, bool lax, int *ret_fd) NODISCARD
        NONNULL(1, 4);
