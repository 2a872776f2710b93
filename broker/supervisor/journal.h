#pragma once
/*
 * Entries for the system's journal, by its native protocol: one datagram an entry. A journal that is
 * not there, or that takes nothing now, costs the entry and nothing else.
 */
#include "wire/msg_supervisor.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

typedef struct Journal {
        int fd; /* -1: there is no socket to send from */
        const char *path; /* borrowed */
} Journal;

#define JOURNAL_NULL ((Journal){ .fd = -1 })

/* Connects to nothing: a journal that is started later is found then. */
int journal_open(Journal *journal, const char *path) NODISCARD NONNULL(1, 2);
void journal_close(Journal *journal) NONNULL(1);
/* Whether the journal has it. Fields with names that are not ours are left out. */
bool journal_send(const Journal *journal, const JournalRequest *entry) NODISCARD NONNULL(1, 2);
/* The datagram, for tests. -ENOBUFS where it is too large. */
int journal_format(const JournalRequest *entry, Buf *out) NODISCARD NONNULL(1, 2);
