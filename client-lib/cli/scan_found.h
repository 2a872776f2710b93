#pragma once
/* What a scan has found so far, and what it could not look at. Each thread fills one of its own. */
#include "cli.h"
#include "scan/scan.h"

/* Troubles that are told one by one, with --json; all are counted. */
#define SCAN_TROUBLES_MAX 1000U

/* A file, or an object of a git repository, with something in it. */
typedef struct ScanFile {
        char *path; /* of a git object: of its repository */
        char object[65]; /* "": a file */
        char type[8];    /* of the object: blob, commit, tag, tree */
        ScanResult result;
} ScanFile;

typedef struct ScanTrouble {
        char *path;
        char *reason;
} ScanTrouble;

typedef struct ScanFound {
        const Needles *needles;
        ScanFile *files; /* those with hits */
        size_t n, room;
        ScanTrouble *troubles; /* the first of them; each makes the scan incomplete */
        size_t n_troubles;
        uint64_t all_troubles;
        uint64_t looked_at; /* files and objects */
        uint64_t bytes;
        uint64_t too_large; /* left out by --max-size */
        bool no_memory;
} ScanFound;

/* Takes the result over, and drops one without hits. `object` may be NULL. */
void scan_found_add(ScanFound *found, const char *path, const char *object, const char *type, ScanResult *result);
/* What could not be looked at, and why: told on stderr at once, and kept. */
void scan_found_trouble(ScanFound *found, const char *path, const char *format, ...) PRINTF_LIKE(3, 4);
/* `from` is empty afterwards. */
void scan_found_merge(ScanFound *found, ScanFound *from);
/* The text with asterisks over what is looked for: files are called after a token, too, and what git says may hold one.
 * The caller's to free; NULL: there is no memory. */
char *scan_shown(const Needles *needles, const char *text);
/* By path. */
void scan_found_sort(ScanFound *found);
void scan_found_clear(ScanFound *found);
