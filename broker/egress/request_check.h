#pragma once
/*
 * Is this a canonical request, as wire/msg_egress.h says? The session's process made it, and is believed
 * nothing: rules are decided by what stands here, and it is what goes out.
 */
#include "http/target.h"
#include "wire/msg_egress.h"

/* NULL, or a sentence about what is wrong with it. */
const char *request_check(const EgressRequest *request, HttpAuthority *ret) NONNULL(1, 2);
