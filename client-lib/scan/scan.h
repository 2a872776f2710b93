#pragma once
/*
 * One file, or a part of it, looked through as it is read: a buffer that is reused, so that what is read does not leave
 * the processor's cache, with what may belong together across its end kept. And where hits are: lines are counted only
 * where there are some, unless the bytes come but once.
 */
#include "scan/needles.h"
#include <sys/types.h>

#define SCAN_BUFFER_SIZE (256U * 1024U)

typedef struct Scanner Scanner; /* of one thread */

typedef struct ScanSource {
        /* As read(2), but -errno. */
        ssize_t (*read)(void *userdata, void *to, size_t size);
        void *userdata;
        uint64_t size; /* it ends there, so that nobody has to ask; UINT64_MAX: not known */
        bool once;     /* it cannot be read again: lines are counted on the way */
} ScanSource;

/* Borrows the needles. */
int scanner_new(Scanner **ret, const Needles *needles) NODISCARD NONNULL(1, 2);
Scanner *scanner_free(Scanner *scanner);
/* Everything that the source has. Hits have their lines, or all of them 0: scan_locate() finds them then. -errno of the
 * source, -ENOMEM; what was found before is in `result` all the same. `ret_bytes`: that were read. */
int scanner_run(Scanner *scanner, const ScanSource *source, ScanResult *result, uint64_t *ret_bytes) NODISCARD
        NONNULL(1, 2, 3, 4);
/* Bytes that are all there already. */
void scanner_run_bytes(Scanner *scanner, Slice bytes, ScanResult *result) NONNULL(1, 3);
/* The part [from, to) of a file that can be read anywhere. Leaves the lines at 0. */
int scanner_run_part(Scanner *scanner, int fd, uint64_t from, uint64_t to, ScanResult *result) NODISCARD
        NONNULL(1, 5);
/* Reads the file once more, as far as its last hit, for the lines. -errno; -ENODATA where it has become shorter. */
int scan_locate(int fd, ScanResult *result) NODISCARD NONNULL(2);

DEFINE_CLEANUP(Scanner *, scanner_free);
