#include "base/ident.h"
#include "base/crc32.h"
#include <sodium.h>

static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static void random_digits(char *out, size_t n)
{
        for (size_t i = 0; i < n; i++)
                out[i] = base62[randombytes_uniform(62)];
}

void ident_check_digits(Slice payload, char out[IDENT_CHECK_DIGITS + 1])
{
        uint32_t crc = crc32_iso(payload);

        for (size_t i = IDENT_CHECK_DIGITS; i-- > 0; crc /= 62)
                out[i] = base62[crc % 62];
        out[IDENT_CHECK_DIGITS] = '\0';
}

Ident ident_new(char kind)
{
        Ident ident = { .text = { kind, '-' } };

        random_digits(ident.text + 2, IDENT_ID_SIZE - 2);
        return ident;
}

static bool all_base62(const char *text, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'A' && text[i] <= 'Z') ||
                      (text[i] >= 'a' && text[i] <= 'z')))
                        return false;
        return true;
}

bool ident_is_valid(const char *text, char kind)
{
        return text && strlen(text) == IDENT_ID_SIZE && text[0] == kind && text[1] == '-' &&
               all_base62(text + 2, IDENT_ID_SIZE - 2);
}

int ident_token_new(Secret **ret, Arena *arena, const char *prefix)
{
        _cleanup_(secret_freep) Secret *token = NULL;
        char check[IDENT_CHECK_DIGITS + 1];
        size_t capacity;
        uint8_t *data;
        int r;

        r = secret_new(&token, arena, IDENT_TOKEN_SIZE);
        if (r)
                return r;
        data = secret_buffer(token, &capacity);
        memcpy(data, prefix, 6);
        random_digits((char *)data + 6, IDENT_RANDOM_DIGITS);
        ident_check_digits(slice(data + 6, IDENT_RANDOM_DIGITS), check);
        memcpy(data + 6 + IDENT_RANDOM_DIGITS, check, IDENT_CHECK_DIGITS);
        secret_set_size(token, IDENT_TOKEN_SIZE);
        *ret = take_ptr(token);
        return 0;
}

bool ident_token_is_wellformed(Slice token, const char *prefix)
{
        char check[IDENT_CHECK_DIGITS + 1];

        if (token.size != IDENT_TOKEN_SIZE || memcmp(token.data, prefix, 6) != 0 ||
            !all_base62((const char *)token.data + 6, token.size - 6))
                return false;
        ident_check_digits(slice(token.data + 6, IDENT_RANDOM_DIGITS), check);
        return memcmp(token.data + 6 + IDENT_RANDOM_DIGITS, check, IDENT_CHECK_DIGITS) == 0;
}
