#pragma once
/*
 * Secret bytes with one owner. They live in an arena, are wiped by the destructor, and have no
 * printable form: what formats, logs or compares them in another way than this does not compile
 * against anything here.
 */
#include "base/arena.h"
#include "base/slice.h"

/* Room for an item of the store: a 16384-bit RSA key in PEM is 13 KiB, and a rotation keeps two. */
#define SECRET_MAX (64U * 1024U)

typedef struct Secret Secret;

enum {
        _SECRET_E_SUCCESS,
        SECRET_E_FULL,     /* the arena, or the secret's own capacity, has no room */
        SECRET_E_TOO_LONG, /* longer than SECRET_MAX */
        SECRET_E_AGAIN,    /* secret_read_fd(): nothing more for now, not yet the end */
};

/* An empty secret that can hold `capacity` bytes. SECRET_E_FULL, SECRET_E_TOO_LONG. */
int secret_new(Secret **ret, Arena *arena, size_t capacity) NODISCARD NONNULL(1, 2);
/* A copy of the bytes. The caller wipes its own. SECRET_E_FULL, SECRET_E_TOO_LONG. */
int secret_from_bytes(Secret **ret, Arena *arena, Slice bytes) NODISCARD NONNULL(1, 2);
/* Wipes. Accepts NULL. */
Secret *secret_free(Secret *secret);

int secret_append(Secret *secret, Slice bytes) NODISCARD NONNULL(1);
/*
 * Appends what the descriptor has. Returns 0 at end of file, SECRET_E_AGAIN when it would block,
 * SECRET_E_FULL when there is more than fits, or -errno.
 */
int secret_read_fd(Secret *secret, int fd) NODISCARD NONNULL(1);
/* The same from a socket, and never blocking: a peer that shares the descriptor can take O_NONBLOCK off. */
int secret_receive(Secret *secret, int fd) NODISCARD NONNULL(1);
/* Drops one "\n" or "\r\n" at the end, as a shell's $(...) would. */
void secret_trim_newline(Secret *secret) NONNULL(1);

/* Borrowed: valid until the secret is freed, moved or appended to. NULL gives an empty slice. */
Slice secret_slice(const Secret *secret);
size_t secret_size(const Secret *secret);
/* Where bytes can be written directly, `capacity` in all; secret_set_size() then counts them. */
uint8_t *secret_buffer(Secret *secret, size_t *ret_capacity) NONNULL(1, 2);
void secret_set_size(Secret *secret, size_t size) NONNULL(1);
/* In time that depends on the lengths alone. */
bool secret_equal(const Secret *secret, Slice bytes);

DEFINE_CLEANUP(Secret *, secret_free);
