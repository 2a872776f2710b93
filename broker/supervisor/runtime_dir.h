#pragma once
/*
 * A directory that is the broker's alone: its runtime directory (sockets, sessions, epoch) or its
 * state directory. It is made and checked without following a link that somebody planted, and held
 * by a lock, so that only one broker runs in it. All work in it goes through `fd`.
 */
#include "base/error.h"
#include "base/macros.h"
#include "base/slice.h"
#include <sys/types.h>

/* The longest path of a runtime directory: "/s/<id>/broker.sock" below it must fit into the
 * sun_path of whoever connects. */
#define RUNTIME_DIR_PATH_MAX (107U - 3U - 18U - 12U)

typedef struct RuntimeDir {
        char *path; /* absolute, without links */
        int fd;
        int lock_fd;
        bool memory_backed; /* tmpfs or ramfs: gone after a reboot */
} RuntimeDir;

enum {
        _RUNTIME_DIR_E_SUCCESS,
        RUNTIME_DIR_E_LINK,   /* it, or something above it, is a symbolic link or no directory */
        RUNTIME_DIR_E_OWNER,  /* it belongs to another user */
        RUNTIME_DIR_E_MODE,   /* others may look into it or write to it */
        RUNTIME_DIR_E_PARENT, /* somebody else could replace it */
        RUNTIME_DIR_E_BUSY,   /* another broker holds the lock */
        RUNTIME_DIR_E_PATH,   /* not absolute, or too long for a socket's name */
};

/* What the code means, for a person. */
const char *runtime_dir_error(int code);

/* `mode` is 0700, or 0711 where other users must reach a socket below it. */
int runtime_dir_new(RuntimeDir **ret, const char *path, mode_t mode) NODISCARD NONNULL(1, 2);
/* Lets go of the lock. What is in the directory stays. */
RuntimeDir *runtime_dir_free(RuntimeDir *dir);

/*
 * Replaces a file by a temporary one and a rename; `mode` as open(2) takes it. Durable when `sync`.
 * A link of the name is replaced and not followed.
 */
int runtime_dir_write(int directory, const char *name, Slice content, mode_t mode,
                      bool sync) NODISCARD NONNULL(2);
/* The epoch file's content: NULL when there is none. -EINVAL when it is not ours. */
int runtime_dir_read_epoch(const RuntimeDir *dir, char **ret) NODISCARD NONNULL(1, 2);
int runtime_dir_write_epoch(const RuntimeDir *dir, const char *epoch) NODISCARD NONNULL(1, 2);
/* A listening stream socket of that name; one that was left there is replaced. */
int runtime_dir_bind(int directory, const char *name, mode_t mode, int *ret) NODISCARD
        NONNULL(2, 4);
/* Removes a directory with the files in it, not with directories in it. No error if it is absent.
 */
int runtime_dir_remove(int parent, const char *name) NODISCARD NONNULL(2);

DEFINE_CLEANUP(RuntimeDir *, runtime_dir_free);
