#include "providers/reply.h"
#include "base/text.h"

/* A word of a message that is longer may be a credential that was echoed: the shortest have 40. */
#define WORD_MAX 32U
#define ID_MAX   64U

int reply_from_pool(int r)
{
        return r == -ENOBUFS || r == -ENOMEM ? REPLY_E_NO_SPACE : r;
}

int reply_token(const json_t *json, const char *key, Arena *arena, Secret **ret)
{
        const char *text = json_text(json, key);
        size_t size = text ? strlen(text) : 0;

        if (size == 0 || size > REPLY_TOKEN_MAX)
                return REPLY_E_SENSELESS;
        for (size_t i = 0; i < size; i++)
                if (text[i] <= ' ' || text[i] > '~')
                        return REPLY_E_SENSELESS;
        return secret_from_bytes(ret, arena, slice(text, size)) ? REPLY_E_NO_SPACE : 0;
}

bool reply_printable(const char *text, char ret[REPLY_TEXT_MAX])
{
        size_t size;

        if (!text || !text_is_printable(text))
                return false;
        size = strlen(text);
        if (size >= REPLY_TEXT_MAX) {
                size = REPLY_TEXT_MAX - 1;
                while (size > 0 && ((uint8_t)text[size] & 0xc0) == 0x80)
                        size--;
        }
        memcpy(ret, text, size);
        ret[size] = 0;
        return true;
}

bool reply_number(const json_t *json, const char *key, uint64_t *ret)
{
        const json_t *value = json_object_get(json, key);

        if (!json_is_integer(value) || json_integer_value(value) <= 0)
                return false;
        *ret = (uint64_t)json_integer_value(value);
        return true;
}

bool reply_is_id(const char *text)
{
        size_t size = text ? strlen(text) : 0;

        return size > 0 && size <= ID_MAX &&
               strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-") == size;
}

static const char *message_of(const json_t *json)
{
        const char *text = json_text(json, "message");

        if (!text)
                text = json_text(json, "error_description");
        if (!text)
                text = json_text(json, "error");
        if (!text)
                text = json_text(json_array_get(json_object_get(json, "errors"), 0), "message");
        return text;
}

void reply_message(Slice body, char ret[REPLY_TEXT_MAX])
{
        _cleanup_(json_freep) json_t *json = NULL;
        const char *text = json_read(body, &json) == 0 ? message_of(json) : NULL;
        size_t word = 0;

        ret[0] = 0;
        if (!text || strlen(text) >= REPLY_TEXT_MAX)
                return;
        for (const char *p = text; *p; p++) {
                word = *p == ' ' ? 0 : word + 1;
                if (*p < ' ' || *p > '~' || word > WORD_MAX)
                        return;
        }
        memcpy(ret, text, strlen(text) + 1);
}

Fault reply_classify(const ResponseHead *head, uint64_t now_usec, uint64_t *ret_retry_after_usec)
{
        *ret_retry_after_usec = 0;
        if (head->status >= 200 && head->status < 300)
                return FAULT_NONE;
        switch (head->status) {
        case 401:
                return FAULT_UPSTREAM_ROOT_INVALID;
        case 403:
                return FAULT_UPSTREAM_DENIED;
        case 404:
        case 410:
                return FAULT_UPSTREAM_NO_TARGET;
        case 400:
        case 422:
                return FAULT_UPSTREAM_BAD_SCOPE;
        case 429:
                *ret_retry_after_usec = response_retry_after(head, now_usec);
                return FAULT_UPSTREAM_RATE_LIMITED;
        default:
                return FAULT_UPSTREAM_UNKNOWN;
        }
}
