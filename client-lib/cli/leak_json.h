#pragma once
/*
 * JSON that is too large for a tree: its outer part is walked over in place, and each finding is given to jansson,
 * which says whether it is JSON at all. Walking is bounded in depth and uses no stack.
 */
#include "leak_text.h"

/* Reports nest a dozen levels. */
#define LEAK_JSON_DEPTH_MAX 64U
/* One finding: a line of minified code, with its surroundings, twice. */
#define LEAK_JSON_ELEMENT_MAX (1024U * 1024U)

struct json_t; /* jansson.h */

/* Takes the value that the text begins with, white space left out, and moves behind it. False: there is none, or it
 * does not end, or nests too deeply. */
bool leak_json_take(LeakText *rest, LeakText *ret);

/* Over the elements of an array, or the members of an object. */
typedef struct LeakItems {
        LeakText rest;
        bool object, first;
} LeakItems;

/* `value` is one of leak_json_take(). False: it is of another kind. */
bool leak_json_array(LeakItems *items, LeakText value);
bool leak_json_object(LeakItems *items, LeakText value);
/* 1 with the next one (and the key as it is written, without its quotes, where it is an object's), 0 at the end,
 * -1 where the text is not JSON. */
int leak_json_next(LeakItems *items, LeakText *ret_key, LeakText *ret_value);

/* The tree of an element; NULL: it is not JSON, too large, or has a key twice. The caller's, by json_decref(). */
struct json_t *leak_json_parse(LeakText element);
/* A member that is a string, otherwise an empty text. Valid as long as the tree. */
LeakText leak_json_text(const struct json_t *object, const char *key);
/* The same of an array's item. */
LeakText leak_json_item(const struct json_t *array, size_t index);
/* As leak_json_text(), never with a NUL in it; NULL: there is none. */
const char *leak_json_string(const struct json_t *object, const char *key);
/* A member that is a positive integer, otherwise 0. */
uint64_t leak_json_number(const struct json_t *object, const char *key);
