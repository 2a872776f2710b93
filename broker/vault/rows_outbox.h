#pragma once
/* Table audit_outbox: lines of the audit log that are committed and may not be in the file yet. */
#include "base/buf.h"
#include "vault/db.h"

/* `line` with its newline. DB_E_EXISTS. */
int rows_outbox_insert(Db *db, uint64_t sequence, Slice line) NODISCARD NONNULL(1);
/* Appends the first line behind the sequence `after` to `out`. DB_E_NOT_FOUND: there is none.
 * DB_E_NO_SPACE: `out` is full, and unchanged. */
int rows_outbox_next(Db *db, uint64_t after, uint64_t *ret_sequence, Buf *out) NODISCARD
        NONNULL(1, 3, 4);
/* Deletes those up to and with this one. */
int rows_outbox_remove(Db *db, uint64_t sequence) NODISCARD NONNULL(1);
