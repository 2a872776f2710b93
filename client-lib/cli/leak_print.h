#pragma once
/* What `leak report` says: which of what was found is ours, by name, and what was done. Never a value. */
#include "cli.h"
#include "leak_findings.h"
#include "output.h"

typedef enum LeakSigned {
        LEAK_SIGNED_NO,
        LEAK_SIGNED_UNCHECKED, /* it carries a signature, and no key was given */
        LEAK_SIGNED_VALID,
} LeakSigned;

typedef struct LeakPrint {
        Cli *cli;
        const LeakReport *report;
        Findings *findings;
        LeakSigned is_signed;
        bool dry_run;
        bool failed; /* something that was to be done */
        size_t places; /* that were shown of the match at hand */
        Json json;
} LeakPrint;

void leak_print_begin(LeakPrint *print);
/* An mcpcred_row_fn: one match. */
int leak_print_row(const mcpcred_row *row, void *userdata);
void leak_print_discard(LeakPrint *print);
/* The rest. Returns the exit status. */
int leak_print_end(LeakPrint *print, const mcpcred_leaked *leaked);
