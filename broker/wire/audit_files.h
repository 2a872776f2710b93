#pragma once
/*
 * The files of the audit log: <directory>/audit.log, which is written to, and what it was before,
 * audit.log.N, where N is the sequence of the first line. A name is given once and never changes, so
 * that a crash between two steps of a rotation leaves nothing that could be mistaken.
 */
#include "wire/audit_line.h"

#define AUDIT_FILE_NAME "audit.log"
/* "audit.log.", twenty digits and a NUL. */
#define AUDIT_FILE_NAME_SIZE 32U

/* Former files, the oldest first. */
typedef struct AuditFiles {
        uint64_t *first; /* the sequence in each name */
        size_t n;
} AuditFiles;

#define AUDIT_FILES_NULL ((AuditFiles){ .n = 0 })

/* -errno. */
int audit_files_list(const char *directory, AuditFiles *ret) NODISCARD NONNULL(1, 2);
void audit_files_deinit(AuditFiles *files);
/* `first` 0: the file that is written to. */
void audit_file_name(uint64_t first, char out[AUDIT_FILE_NAME_SIZE]) NONNULL(2);
/* For reading. -errno, -EINVAL for what is no regular file. */
int audit_file_open(const char *directory, uint64_t first, int *ret_fd, uint64_t *ret_size) NODISCARD
        NONNULL(1, 3, 4);

/* The end of a file: its last whole line, and what is behind it. */
typedef struct AuditTail {
        Buf bytes;
        Slice line; /* without newline; empty when the file has no whole line */
        Slice partial;
        bool long_line; /* there is no newline where there must be one */
} AuditTail;

#define AUDIT_TAIL_SIZE (2U * AUDIT_LINE_MAX)
#define AUDIT_TAIL_NULL ((AuditTail){ .bytes = { .max = AUDIT_TAIL_SIZE } })

int audit_tail_read(int fd, uint64_t size, AuditTail *tail) NODISCARD NONNULL(3);
void audit_tail_deinit(AuditTail *tail);
