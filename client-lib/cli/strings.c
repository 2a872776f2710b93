#include "strings.h"
#include <stdarg.h>
#include <string.h>

void strings_take(Strings *strings, char *text)
{
        char **grown = text ? reallocarray(strings->items, strings->n + 2, sizeof(*grown)) : NULL;

        if (!grown) {
                free(text);
                strings->failed = true;
                return;
        }
        strings->items = grown;
        strings->items[strings->n++] = text;
        strings->items[strings->n] = NULL;
}

void strings_add(Strings *strings, const char *text)
{
        strings_take(strings, strdup(text));
}

void strings_add_format(Strings *strings, const char *format, ...)
{
        char *text = NULL;
        va_list args;

        va_start(args, format);
        if (vasprintf(&text, format, args) < 0)
                text = NULL;
        va_end(args);
        strings_take(strings, text);
}

void strings_free(Strings *strings)
{
        for (size_t i = 0; i < strings->n; i++)
                free(strings->items[i]);
        free(strings->items);
        *strings = (Strings){ 0 };
}
