/* What may be a token, out of whatever a scanner or a person finds. */
#include "base/token_format.h"
#include "target.h"
#include <stdlib.h>

/* The first byte chooses the prefix, so that no file of the corpus looks like a token. */
static size_t assemble(const uint8_t *data, size_t size, uint8_t *out)
{
        const char *prefix = size > 0 ? token_kind_prefix((TokenKind)(data[0] % _TOKEN_KIND_N)) : NULL;
        size_t n = prefix ? strlen(prefix) : 0;

        if (n > 0)
                memcpy(out, prefix, n);
        if (size > 1)
                memcpy(out + n, data + 1, size - 1);
        return n + (size > 0 ? size - 1 : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t *text = malloc(size + 32);
        TokenFormat format;
        bool has_checksum, fits;
        Slice candidate;

        if (!text)
                return 0;
        candidate = slice(text, assemble(data, size, text));
        format = token_format(candidate);
        fits = token_checksum_fits(candidate, &has_checksum);
        if (format.kind == TOKEN_KIND_NONE && (fits || has_checksum || format.check != TOKEN_CHECK_NONE))
                abort();
        if (size > 0 && format.kind != (TokenKind)(data[0] % _TOKEN_KIND_N) && data[0] % _TOKEN_KIND_N != TOKEN_KIND_NONE)
                abort();
        if (fits && has_checksum != (format.check == TOKEN_CHECK_FITS))
                abort();
        free(text);
        return 0;
}
