#pragma once
/* What the broker says about what a scan has found, and how that is shown. */
#include "scan_found.h"

/* How one pattern is called. */
typedef struct ScanName {
        char secret[65];
        char state[65];
} ScanName;

typedef struct ScanReport {
        Cli *cli;
        ScanFound *found;
        const ScanName *names; /* of the values, as the needles number them */
        size_t n_names;
        bool act;           /* have the broker do what `on_leak` says */
        const char *source; /* what was scanned, for its log */
        const ScanTrouble *not_looked_for; /* secrets, and why */
        size_t n_not_looked_for;
} ScanReport;

/* Asks, shows, and returns the exit status. */
int scan_report(const ScanReport *report);
