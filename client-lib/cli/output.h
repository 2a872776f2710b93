#pragma once
/* What the command prints: JSON for programs, aligned tables for people. Both are made in memory
 * and printed once they are whole, so that a broken listing leaves no half of one. */
#include "mcpcred.h"
#include <stdbool.h>
#include <stdio.h>

#define JSON_NESTING_MAX 16U

typedef struct Json {
        FILE *stream;
        char *text; /* what was written, of the memory stream */
        size_t size;
        unsigned depth;
        bool has_member[JSON_NESTING_MAX];
} Json;

/* Begins the object with its schema_version. */
void json_begin(Json *json);
/* Without it, for a schema that is not ours. */
void json_begin_bare(Json *json);
/* Ends it, prints it as one line to `to`, frees everything. False: it could not be written. */
bool json_end(Json *json, FILE *to);
/* Frees without printing. */
void json_discard(Json *json);
/* `key` is NULL inside an array. */
void json_open_object(Json *json, const char *key);
void json_open_array(Json *json, const char *key);
void json_close_object(Json *json);
void json_close_array(Json *json);
void json_text(Json *json, const char *key, const char *value); /* NULL: null */
void json_number(Json *json, const char *key, uint64_t value);
void json_flag(Json *json, const char *key, bool value);
void json_time(Json *json, const char *key, uint64_t usec); /* 0: null */
/* All fields of a row as members of the object that is open. */
void json_row_members(Json *json, const mcpcred_row *row);
void json_row(Json *json, const char *key, const mcpcred_row *row);

#define TABLE_COLUMNS_MAX 8U

typedef struct Table {
        const char *const *headers;
        size_t n_columns;
        char **cells;
        size_t n_cells;
} Table;

/* `headers` is NULL-terminated and outlives the table. */
Table table_new(const char *const *headers);
/* The next cell, row by row. NULL or "" is shown as "-". */
void table_add(Table *table, const char *text);
/* Prints to stdout, on a terminal no wider than it is, and frees. Nothing if there are no rows. */
void table_print(Table *table);

/* The end of a regular noun behind this number: "" or "s". */
static inline const char *plural(uint64_t n)
{
        return n == 1 ? "" : "s";
}

/* Columns of the terminal that stdout is; where it is none, all there could be. */
size_t terminal_width(void);
/* The words of `text` from column `at` on, and below each other from `indent` on where the terminal ends; a line end. */
void print_wrapped(const char *text, size_t indent, size_t at);

/* RFC 3339 in UTC; `out` has at least 21 bytes. */
void format_time(uint64_t usec, char out[32]);
/* "in 29m", "3h ago", "now"; "-" for 0. */
const char *relative_time(uint64_t usec, char out[32]);
/* "90s", "30m", "8h". */
const char *short_duration(uint64_t seconds, char out[32]);
/* What a broker wrote, for a terminal: control characters, and what is no text, become "?". The caller frees. */
char *printable(const char *text);
/* Whether stdout takes colours (NO_COLOR, CLICOLOR, TERM). */
bool use_colour(void);
