#pragma once
/* A PEM block in whatever it was pasted into. Pure. */
#include "base/slice.h"

/* Of a 16384-bit RSA key it is 13 KiB. */
#define PEM_MAX (16U * 1024U)
/* The same with an escape, an indentation or a carriage return at each line's end. */
#define PEM_RAW_MAX (2U * PEM_MAX)
#define PEM_BEGIN "-----BEGIN "

/*
 * The block that begins `text`, its lines ended by "\n" alone and without one at the end: line ends may be "\r\n" or
 * escapes ("\n" in JSON and in variables, also "\\n"), and lines may be indented (YAML). Returns its length in `out`
 * and what it takes of `text`; 0: there is no whole block.
 */
size_t pem_normal(Slice text, uint8_t out[PEM_MAX], size_t *ret_raw) NONNULL(2, 3);
