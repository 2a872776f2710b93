#pragma once
/*
 * A report of an egress or a session's process in words, for the audit log. Method, host and path are the
 * sandbox's: where all of it is too long they are cut, and what is said of them, and how often, stays.
 */
#include "wire/field.h"
#include "wire/msg_egress.h"

/* "POST api.example.com/v1/items: sentence (7 times)": UTF-8, at most LIMIT_TEXT with its NUL. */
void report_text(const EgressReport *report, char out[LIMIT_TEXT]) NONNULL(1, 2);
