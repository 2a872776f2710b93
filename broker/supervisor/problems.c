#include "supervisor/problems.h"
#include "supervisor/log.h"
#include "base/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Cuts a text that was truncated in the middle of a character. */
static void cut_utf8(char *text)
{
        for (size_t n = strlen(text);
             n > 0 && !text_is_utf8(slice(text, n)) && (uint8_t)text[n - 1] >= 0x80;)
                text[--n] = '\0';
}

void problems_add(Problems *problems, const char *file, unsigned line, const char *format, ...)
{
        char text[PROBLEM_MAX + 1];
        size_t used;
        va_list args;

        if (problems->n >= PROBLEMS_MAX) {
                problems->failed = true;
                return;
        }
        if (problems->n == PROBLEMS_MAX - 1)
                (void)snprintf(text, sizeof(text), "there are further problems");
        else {
                (void)(line > 0 ? snprintf(text, sizeof(text), "%s:%u: ", file, line)
                                : snprintf(text, sizeof(text), "%s: ", file));
                used = strlen(text);
                va_start(args, format);
                (void)vsnprintf(text + used, sizeof(text) - used, format, args);
                va_end(args);
        }
        cut_utf8(text);
        log_sanitise(text);
        problems->items[problems->n] = strdup(text);
        if (problems->items[problems->n])
                problems->n++;
        else
                problems->failed = true;
}

bool problems_any(const Problems *problems)
{
        return problems->n > 0 || problems->failed;
}

void problems_deinit(Problems *problems)
{
        for (size_t i = 0; i < problems->n; i++)
                free(problems->items[i]);
        *problems = PROBLEMS_NULL;
}
