#include "scan/pem.h"

/* "-----BEGIN ", "-----\n", "-----END ", "-----" */
#define MARKS 4U

typedef struct Pem {
        uint8_t *out;
        size_t n;
        unsigned dashes; /* in a row, up to five */
        unsigned marks;  /* rows of five so far */
        size_t end;      /* where "END " has to be; 0: not yet */
} Pem;

/* False: this is no block. */
static bool put(Pem *pem, uint8_t byte)
{
        if (pem->n == PEM_MAX)
                return false;
        pem->out[pem->n++] = byte;
        pem->dashes = byte == '-' ? pem->dashes + 1 : 0;
        if (pem->dashes == 5) {
                pem->dashes = 0;
                pem->marks++;
                if (pem->marks == 3)
                        pem->end = pem->n;
        }
        return !pem->end || pem->n != pem->end + 4 || memcmp(pem->out + pem->end, "END ", 4) == 0;
}

/* One character that may be written as several. `ret` is it, or 0 for one that only ends a line with another. Returns
 * how long it is there; 0: it has no place in a block. */
static size_t character(Slice text, uint8_t *ret)
{
        size_t i = 0;

        while (i < text.size && text.data[i] == '\\')
                i++;
        if (i == text.size)
                return 0;
        if (i > 0 && text.data[i] != 'n' && text.data[i] != 'r')
                return 0;
        if (i > 0)
                *ret = text.data[i] == 'n' ? '\n' : 0;
        else
                *ret = text.data[0] == '\r' ? 0 : text.data[0];
        if (*ret != 0 && *ret != '\n' && (*ret < 0x20 || *ret > 0x7e || *ret == '"' || *ret == '\''))
                return 0;
        return i + 1;
}

size_t pem_normal(Slice text, uint8_t out[PEM_MAX], size_t *ret_raw)
{
        Pem pem = { .out = out };
        size_t at = 0;

        text.size = MIN(text.size, PEM_RAW_MAX);
        while (at < text.size) {
                uint8_t byte;
                size_t n = character(slice(text.data + at, text.size - at), &byte);

                at += n;
                if (n == 0 || (byte && !put(&pem, byte)))
                        return 0;
                if (pem.marks == MARKS) {
                        *ret_raw = at;
                        return pem.n;
                }
                while (byte == '\n' && at < text.size && (text.data[at] == ' ' || text.data[at] == '\t'))
                        at++;
        }
        return 0;
}
