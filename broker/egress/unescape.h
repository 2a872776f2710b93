#pragma once
/*
 * One character as servers escape it: percent-encoded, as JSON or JavaScript do (\u00XX, \xXX, \/, \", \\),
 * or as HTML does (&#NN; &#xHH; &name;). Of ASCII alone. Pure.
 */
#include <stddef.h>
#include <stdint.h>

/* Bytes of an escape, at most: "&#x0041;", "&lowbar;". */
#define UNESCAPE_MAX 8U

/* How many bytes are the escape that begins at `at`, of which `left` (at least one) are there, and what it stands
 * for. 0: none does. */
size_t unescape(const uint8_t *at, size_t left, uint8_t *ret);

/* The first two bytes of an escape. */
typedef void (*UnescapeAdd)(void *userdata, uint8_t a, uint8_t b);
/* Calls `add` for each two bytes that an escape of `c` can begin with; some more than once. */
void unescape_begins(uint8_t c, UnescapeAdd add, void *userdata);
