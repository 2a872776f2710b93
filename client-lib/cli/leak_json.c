#include "leak_json.h"
#include <jansson.h>
#include <string.h>

static LeakText skip_space(LeakText text)
{
        while (text.size > 0 && (*text.data == ' ' || *text.data == '\t' || *text.data == '\n' || *text.data == '\r'))
                text = leak_text_skip(text, 1);
        return text;
}

/* Behind the string that begins at `at`, or 0 where it does not end. */
static size_t string_end(LeakText text, size_t at)
{
        for (at++; at < text.size; at++) {
                if (text.data[at] == '\\')
                        at++;
                else if (text.data[at] == '"')
                        return at + 1;
        }
        return 0;
}

/* Behind the array or object that the text begins with. Each bracket has to be closed by its own kind. */
static size_t nested_end(LeakText text)
{
        char open[LEAK_JSON_DEPTH_MAX];
        unsigned depth = 0;
        size_t at = 0;

        while (at < text.size) {
                char c = text.data[at];

                if (c == '"') {
                        at = string_end(text, at);
                        if (at == 0)
                                return 0;
                        continue;
                }
                if (c == '[' || c == '{') {
                        if (depth == LEAK_JSON_DEPTH_MAX)
                                return 0;
                        open[depth++] = c == '[' ? ']' : '}';
                } else if (c == ']' || c == '}') {
                        if (open[--depth] != c)
                                return 0;
                        if (depth == 0)
                                return at + 1;
                }
                at++;
        }
        return 0;
}

static size_t scalar_end(LeakText text)
{
        size_t at = 0;

        while (at < text.size && !strchr(" \t\r\n,:]}[{\"", text.data[at]))
                at++;
        return at;
}

bool leak_json_take(LeakText *rest, LeakText *ret)
{
        LeakText text = skip_space(*rest);
        size_t end;

        if (text.size == 0)
                return false;
        if (*text.data == '"')
                end = string_end(text, 0);
        else if (*text.data == '[' || *text.data == '{')
                end = nested_end(text);
        else
                end = scalar_end(text);
        if (end == 0)
                return false;
        *ret = leak_text(text.data, end);
        *rest = leak_text_skip(text, end);
        return true;
}

static bool begin(LeakItems *items, LeakText value, char bracket)
{
        if (value.size < 2 || *value.data != bracket)
                return false;
        *items = (LeakItems){ .rest = leak_text(value.data + 1, value.size - 2), .object = bracket == '{', .first = true };
        return true;
}

bool leak_json_array(LeakItems *items, LeakText value)
{
        return begin(items, value, '[');
}

bool leak_json_object(LeakItems *items, LeakText value)
{
        return begin(items, value, '{');
}

static bool take_sign(LeakText *rest, char sign)
{
        *rest = skip_space(*rest);
        if (rest->size == 0 || *rest->data != sign)
                return false;
        *rest = leak_text_skip(*rest, 1);
        return true;
}

static bool take_key(LeakItems *items, LeakText *ret)
{
        LeakText key;

        if (!leak_json_take(&items->rest, &key) || *key.data != '"' || !take_sign(&items->rest, ':'))
                return false;
        *ret = leak_text(key.data + 1, key.size - 2);
        return true;
}

int leak_json_next(LeakItems *items, LeakText *ret_key, LeakText *ret_value)
{
        items->rest = skip_space(items->rest);
        if (items->rest.size == 0)
                return 0;
        if (!items->first && !take_sign(&items->rest, ','))
                return -1;
        items->first = false;
        if (items->object && !take_key(items, ret_key))
                return -1;
        return leak_json_take(&items->rest, ret_value) ? 1 : -1;
}

struct json_t *leak_json_parse(LeakText element)
{
        json_error_t error;

        if (element.size > LEAK_JSON_ELEMENT_MAX)
                return NULL;
        /* A NUL is part of a secret like any other byte; it is no reason to leave the finding out. */
        return json_loadb(element.data, element.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
}

static LeakText text_of(const json_t *value)
{
        return json_is_string(value) ? leak_text(json_string_value(value), json_string_length(value)) : leak_text("", 0);
}

LeakText leak_json_text(const json_t *object, const char *key)
{
        return text_of(json_object_get(object, key));
}

LeakText leak_json_item(const json_t *array, size_t index)
{
        return text_of(json_array_get(array, index));
}

const char *leak_json_string(const json_t *object, const char *key)
{
        LeakText text = leak_json_text(object, key);

        return text.size > 0 && strlen(text.data) == text.size ? text.data : NULL;
}

uint64_t leak_json_number(const json_t *object, const char *key)
{
        const json_t *member = json_object_get(object, key);

        return json_is_integer(member) && json_integer_value(member) > 0
                       ? (uint64_t)json_integer_value(member)
                       : 0;
}
