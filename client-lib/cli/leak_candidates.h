#pragma once
/*
 * What a finding's text may stand for. Scanners report a value as it stands in a file: in quotes, behind a name,
 * escaped, in a URL. Each of those forms is offered, the text itself first; that most are nothing costs a hash each.
 */
#include "leak_text.h"

/* As much as the broker stores: a longer value is none of its own. */
#define LEAK_VALUE_MAX 65536U
/* Of a value that a tool has cut out already. */
#define LEAK_VARIANTS_MAX 64U
/* Of a line in which the tool found something. */
#define LEAK_LINE_VARIANTS_MAX 1024U
/* A form inside a form inside a form: a header line with an escaped URL. */
#define LEAK_NESTING_MAX 4U
/* All forms of a text together may be so much longer than it is. */
#define LEAK_WORK_FACTOR 16U
#define LEAK_WORK_MIN    16384U
/* Shorter pieces of a text are words. */
#define LEAK_RUN_MIN 8U

/* The candidate is valid during the call. Nonzero stops. */
typedef int (*LeakCandidate)(void *userdata, LeakText candidate);

/* 0, what `candidate` returned, or LEAK_E_NO_MEMORY. `ret_cut`: there were more than `max`, or they were too long. */
int leak_candidates(LeakText text, size_t max, LeakCandidate candidate, void *userdata, bool *ret_cut);

/* Whether the tool blanked the value: "REDACTED", asterisks, a beginning with dots behind it, or of a key in PEM the
 * first line alone, which is all that some rules match. */
bool leak_is_redacted(LeakText text);
