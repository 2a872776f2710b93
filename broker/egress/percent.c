#include "egress/percent.h"
#include "http/chars.h"

static bool is_unreserved(uint8_t c)
{
        return http_is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

int percent_append(Buf *out, uint8_t c)
{
        static const char digits[] = "0123456789ABCDEF";
        char text[3] = { '%', digits[c >> 4], digits[c & 15] };

        return is_unreserved(c) ? buf_append_u8(out, c) : buf_append(out, text, sizeof(text));
}

int percent_append_text(Buf *out, Slice text)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < text.size; i++)
                r = percent_append(out, text.data[i]);
        return r;
}

size_t percent_size(Slice text)
{
        size_t n = 0;

        for (size_t i = 0; i < text.size; i++)
                n += is_unreserved(text.data[i]) ? 1 : 3;
        return n;
}

uint8_t percent_take(Slice *text, bool *ret_was_encoded)
{
        const uint8_t *at = text->data;
        bool encoded = at[0] == '%' && text->size >= 3 && http_hex(at[1]) >= 0 && http_hex(at[2]) >= 0;
        size_t n = encoded ? 3 : 1;

        *ret_was_encoded = encoded;
        *text = slice(at + n, text->size - n);
        return encoded ? (uint8_t)(http_hex(at[1]) * 16 + http_hex(at[2])) : at[0];
}
