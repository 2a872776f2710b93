#pragma once
/* A growing list of texts of its own, NULL-terminated as execve() takes it. */
#include "cli.h"

typedef struct Strings {
        char **items;
        size_t n;
        bool failed; /* there was no memory for one of them */
} Strings;

void strings_add(Strings *strings, const char *text);
void strings_add_format(Strings *strings, const char *format, ...) PRINTF_LIKE(2, 3);
/* Takes the text over; NULL: there was no memory for it. */
void strings_take(Strings *strings, char *text);
void strings_free(Strings *strings);
