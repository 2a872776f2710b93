#include "vault/report_text.h"
#include "base/text.h"
#include <stdio.h>

/* Of the sentence: a rule may be quoted in it. */
#define SENTENCE_MAX 320U

/* As much of it as leaves `rest` bytes and a NUL; NULL: nothing. */
static void append(char out[LIMIT_TEXT], const char *text, size_t rest)
{
        size_t at = strlen(out), room = LIMIT_TEXT - 1 - rest, size = text ? strlen(text) : 0;

        size = MIN(size, room > at ? room - at : 0);
        if (size > 0)
                memcpy(out + at, text, size);
        out[at + size] = '\0';
}

void report_text(const EgressReport *report, char out[LIMIT_TEXT])
{
        char sentence[SENTENCE_MAX], times[32] = "";
        size_t rest;

        (void)snprintf(sentence, sizeof(sentence), "%s", report->reason);
        text_mend_end(sentence);
        if (report->count > 1)
                (void)snprintf(times, sizeof(times), " (%llu times)", (unsigned long long)report->count);
        rest = strlen(": ") + strlen(sentence) + strlen(times);
        out[0] = '\0';
        append(out, report->method, rest);
        append(out, report->method ? " " : NULL, rest);
        append(out, report->host, rest);
        append(out, report->path, rest);
        text_mend_end(out);
        append(out, report->host || report->path ? ": " : NULL, 0);
        append(out, sentence, 0);
        append(out, times, 0);
}
