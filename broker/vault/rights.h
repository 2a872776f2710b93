#pragma once
/*
 * Whether one value of a secret may do no more than another, by the names that their upstream has for rights. No
 * upstream says which right covers which other, so only what their names tell counts: the same right, the same thing
 * to read instead of to write ("contents:read", "read:org", "read_api"), and a part of a thing ("repo:status" of
 * "repo"). Anything else is taken to be wider.
 */
#include "wire/scope.h"

/* False: `ret_wider` is the first of `now` that nothing in `before` covers. */
bool rights_are_within(const TextList *now, const TextList *before, const char **ret_wider) NONNULL(1, 2, 3);
