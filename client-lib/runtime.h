#pragma once
/* Where the broker of this user is, and whether what is there may be spoken to. */
#include "base/error.h"
#include "base/macros.h"

enum {
        _RUNTIME_E_SUCCESS,
        RUNTIME_E_FOREIGN_DIRECTORY, /* of another user than this one or root, or writable by others */
        RUNTIME_E_FOREIGN_SERVER,    /* its process is of another user than this one or root */
};

/*
 * The runtime directory by the rules of the header: the first in which there is a socket, otherwise
 * the one in which the broker would make it. The caller frees it. -ENOENT: there is no place for one.
 */
int runtime_find(char **ret) NODISCARD NONNULL(1);
/* Connects to broker.sock in a directory. RUNTIME_E_*, or -errno. */
int runtime_connect(const char *directory, int *ret_fd) NODISCARD NONNULL(1, 2);
/* Connects to a socket. Whoever owns a user id in `lax` (the overflow uid of a sandbox that does not
 * map the server's) is taken too. */
int runtime_connect_path(const char *path, bool lax, int *ret_fd) NODISCARD NONNULL(1, 3);
