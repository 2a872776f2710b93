#pragma once
/* Some sessions, by their ids: what is ended in one go. */
#include "base/error.h"
#include "base/ident.h"

typedef struct SessionSet {
        char (*ids)[IDENT_ID_SIZE + 1]; /* in order */
        size_t n;
        size_t size;
} SessionSet;

#define SESSION_SET_NULL ((SessionSet){ NULL, 0, 0 })

/* Once; and the order is the caller's to make (session_set_sort()) before it is asked. */
int session_set_add(SessionSet *set, const char *id) NODISCARD NONNULL(1, 2);
/* Each once, from now on. */
void session_set_sort(SessionSet *set) NONNULL(1);
bool session_set_has(const SessionSet *set, const char *id) NONNULL(1, 2);
/* Frees what is in it. */
void session_set_deinit(SessionSet *set) NONNULL(1);
