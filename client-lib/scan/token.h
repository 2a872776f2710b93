#pragma once
/* What may be a token of ours in some text: where it ends, and whether its form allows it. Pure. */
#include "base/slice.h"

/* Longer than any that is issued. */
#define TOKEN_MAX 1024U
#define TOKEN_CUTS_MAX 4U

/* Letters, digits, "_", "-" and ".": what tokens with a prefix are made of. */
bool token_is_byte(uint8_t byte);
/*
 * `run` are the token bytes from a prefix on, as far as they go; `prefix` of them are the prefix. What the token is of
 * that depends on what is behind it: a full stop of a sentence, a suffix of somebody's. Lengths that are possible and
 * not refuted by a length or a checksum that such tokens have, each once. None above TOKEN_MAX.
 */
size_t token_cuts(Slice run, size_t prefix, size_t cuts[TOKEN_CUTS_MAX]) NONNULL(3);
