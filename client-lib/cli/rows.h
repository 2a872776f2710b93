#pragma once
/* A listing: each row into the table, or into the JSON array that is open. */
#include "cli.h"
#include "output.h"

typedef struct Listing {
        const char *array;                                   /* the array's name in JSON */
        const char *const *headers;                          /* of the table, NULL-terminated */
        void (*cells)(Table *table, const mcpcred_row *row); /* one table_add() a header */
        const char *none; /* what to say when there is nothing; to stderr */
        int (*fail_none)(Cli *cli, const char *userdata); /* in place of that: it is an error, with this status; or NULL */
        bool (*wants)(const mcpcred_row *row, const char *userdata); /* NULL: all */
        const char *userdata;
        const mcpcred_selector *selector; /* of leases; NULL: all */
} Listing;

/* 0 or an exit status. `ret_n`: rows that were shown; may be NULL. */
int listing_run(Cli *cli, const Listing *listing, mcpcred_list what, bool all, size_t *ret_n);
/* "a, b"; the caller frees. */
char *join_items(const mcpcred_row *row, const char *field);

/* What became of a lease at its upstream, for a table. */
const char *outcome_text(const mcpcred_row *row);
