#pragma once
/* What the replies of upstreams have in common, from bytes to values; pure. */
#include "base/pool.h"
#include "base/secret.h"
#include "providers/json.h"
#include "providers/response.h"
#include "wire/fault.h"

/* Of a token. GitHub's have about 520 characters today, and no limit was promised. */
#define REPLY_TOKEN_MAX 4096U
/* Of a text that is shown. */
#define REPLY_TEXT_MAX 200U

typedef enum ReplyError {
        _REPLY_E_SUCCESS,
        REPLY_E_SENSELESS, /* not what is documented */
        REPLY_E_NO_SPACE,  /* the arena or the pool has no room */
} ReplyError;

/* What a pool returned, as a ReplyError: REPLY_E_NO_SPACE for want of room or memory, all else as it is. */
int reply_from_pool(int r);
/* A member that is a credential: printable ASCII without spaces, so that it fits into a header. REPLY_E_SENSELESS: there is
 * none, or it is no such text; REPLY_E_NO_SPACE. */
int reply_token(const json_t *json, const char *key, Arena *arena, Secret **ret) NODISCARD NONNULL(2, 3, 4);
/* A text that one line of a terminal can take, cut to fit at a character's beginning. */
bool reply_printable(const char *text, char ret[REPLY_TEXT_MAX]) NONNULL(2);
/* A member that is a number above 0. */
bool reply_number(const json_t *json, const char *key, uint64_t *ret) NONNULL(2, 3);
/* An identifier of the upstream's: letters, digits, "-", "_"; at most 64, to stand in a path. */
bool reply_is_id(const char *text);
/*
 * What an error body says, if it is a sentence that can be shown: printable ASCII and no word so long that
 * it might be a credential. Empty otherwise. Looks at "message", "error_description", "error" and the first
 * of "errors".
 */
void reply_message(Slice body, char ret[REPLY_TEXT_MAX]) NONNULL(2);
/*
 * What a status means where the upstream does as most do. FAULT_NONE for 200 to 299. A rate limit comes with
 * the time to wait.
 */
Fault reply_classify(const ResponseHead *head, uint64_t now_usec, uint64_t *ret_retry_after_usec) NONNULL(1, 3);
