#pragma once
/* Files and trees of them, looked through by several threads. */
#include "scan_found.h"

typedef struct ScanWalk {
        const Needles *needles;
        uint64_t max_size; /* larger files are left out; 0: none */
        unsigned threads;  /* 0: as many as there are processors */
} ScanWalk;

/* Every regular file at and below the paths, whatever is in it; links below them are not followed. What else is named
 * itself (a pipe) is read to its end; "-" is stdin. */
void scan_walk(const ScanWalk *walk, const char *const *paths, size_t n, ScanFound *found);
