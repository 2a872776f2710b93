#pragma once
/* Bytes of a report, borrowed from it. What is made of them is made in memory that is wiped. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct LeakText {
        const char *data;
        size_t size;
} LeakText;

/* What the parts of `leak report` return beside 0. */
enum {
        _LEAK_E_SUCCESS,
        LEAK_E_INVALID,   /* it is not of its format; the report says what is wrong */
        LEAK_E_TOO_MANY,  /* more findings than one report may have */
        LEAK_E_NO_MEMORY,
};

static inline LeakText leak_text(const char *data, size_t size)
{
        return (LeakText){ data, size };
}
LeakText leak_text_of(const char *text); /* NULL: nothing */
bool leak_text_is(LeakText text, const char *word);
bool leak_text_begins(LeakText text, const char *word); /* whatever its case */
/* Without white space at both ends. */
LeakText leak_text_trim(LeakText text);
/* The first `size` bytes less. */
LeakText leak_text_skip(LeakText text, size_t size);
/* Where `word` begins, or text.size. */
size_t leak_text_find(LeakText text, const char *word);
/* The next line without its end, and moves behind it. False: there is none. */
bool leak_text_line(LeakText *rest, LeakText *ret);

/* Memory for `size` bytes that leak_scratch_free() wipes. NULL: there is none. */
char *leak_scratch(size_t size);
void leak_scratch_free(char *data, size_t size);
