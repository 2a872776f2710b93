#pragma once
/* Strict JSON of an upstream: no duplicate keys, bad UTF-8, NUL or trailing bytes, and not deep. */
#include "base/error.h"
#include "base/slice.h"
#include <jansson.h>

/* A repository in GitHub's replies nests four deep. */
#define JSON_DEPTH_MAX 16U

typedef enum JsonError {
        _JSON_E_SUCCESS,
        JSON_E_INVALID,
} JsonError;

/* Once a process, before any other use: jansson then wipes what it frees. */
void json_global_init(void);
/* An object; the caller frees it. JSON_E_INVALID for all else. */
int json_read(Slice bytes, json_t **ret) NODISCARD NONNULL(2);
/* A member that is a text, or NULL. Borrowed. */
const char *json_text(const json_t *object, const char *key) NONNULL(2);

static inline UNUSED void json_freep(json_t **json)
{
        json_decref(*json);
}
