#include "leak_text.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

LeakText leak_text_of(const char *text)
{
        return leak_text(text ? text : "", text ? strlen(text) : 0);
}

bool leak_text_is(LeakText text, const char *word)
{
        return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

bool leak_text_begins(LeakText text, const char *word)
{
        size_t size = strlen(word);

        return text.size >= size && strncasecmp(text.data, word, size) == 0;
}

static bool is_space(char c)
{
        return c == ' ' || (c >= '\t' && c <= '\r');
}

LeakText leak_text_trim(LeakText text)
{
        while (text.size > 0 && is_space(text.data[0]))
                text = leak_text_skip(text, 1);
        while (text.size > 0 && is_space(text.data[text.size - 1]))
                text.size--;
        return text;
}

LeakText leak_text_skip(LeakText text, size_t size)
{
        if (size > text.size)
                size = text.size;
        return leak_text(text.data + size, text.size - size);
}

size_t leak_text_find(LeakText text, const char *word)
{
        const char *found = text.size > 0 ? memmem(text.data, text.size, word, strlen(word)) : NULL;

        return found ? (size_t)(found - text.data) : text.size;
}

bool leak_text_line(LeakText *rest, LeakText *ret)
{
        const char *end = rest->size > 0 ? memchr(rest->data, '\n', rest->size) : NULL;
        size_t size = end ? (size_t)(end - rest->data) : rest->size;

        if (rest->size == 0)
                return false;
        *ret = leak_text(rest->data, size > 0 && rest->data[size - 1] == '\r' ? size - 1 : size);
        *rest = leak_text_skip(*rest, end ? size + 1 : size);
        return true;
}

char *leak_scratch(size_t size)
{
        return malloc(size > 0 ? size : 1);
}

void leak_scratch_free(char *data, size_t size)
{
        if (data)
                explicit_bzero(data, size);
        free(data);
}
