#pragma once
/*
 * Which requests a profile allows: METHODS HOST[:PORT] PATH, as design and mcpcred.conf(5) have it.
 * METHODS is a comma-separated list or "*"; HOST exact or "*.suffix" (one label); port 443 unless said;
 * PATH of segments, "*" for one whole segment and "**" at the end for the rest (also nothing). Compared
 * byte by byte with the canonical path. Any deny wins; what nothing allows is denied.
 *
 * A rule that denies also denies what lenient servers take for the same path: in other capitals, with a
 * slash or ".json" or ".xml" at the end, with ";parameters" behind a segment, percent-encoded once more.
 */
#include "http/target.h"

typedef struct RuleSet RuleSet;

#define RULE_TEXT_MAX 512U /* bytes of a rule */
#define RULE_SET_MAX  128U /* rules that allow, and as many that deny */

enum {
        _RULE_E_SUCCESS,
        RULE_E_INVALID, /* the text is none; `problem` says why */
        RULE_E_FULL,
};

/* Is the text a rule? NULL, or a sentence for a person. */
const char *rule_check(const char *text) NONNULL(1);
int rule_set_new(RuleSet **ret, const char *const *allow, size_t n_allow, const char *const *deny, size_t n_deny)
        NODISCARD NONNULL(1);
RuleSet *rule_set_free(RuleSet *rules);

typedef enum RuleVerdict {
        RULE_ALLOWED,
        RULE_DENIED,    /* by a deny; ret_rule is it */
        RULE_UNMATCHED, /* nothing allows it */
} RuleVerdict;
/* `ret_rule` (may be NULL) is the text of the rule that decided, or NULL. */
RuleVerdict rule_set_decide(const RuleSet *rules, const char *method, const HttpAuthority *authority, const char *path,
                            const char **ret_rule) NONNULL(1, 2, 3, 4);
/* The hosts that rules allow, for names and certificates: calls back with "host" or "*.suffix". */
int rule_set_each_host(const RuleSet *rules, int (*each)(void *userdata, const char *host), void *userdata) NODISCARD
        NONNULL(1, 2);
/* What a rule promises more than it holds, for `doctor`: NULL or a sentence. */
const char *rule_warning(const char *text, bool is_deny) NONNULL(1);
/* The same, but silent where another rule of the set (NULL: none) denies what there is to warn of. */
const char *rule_warning_among(const char *text, bool is_deny, const RuleSet *all) NONNULL(1);

DEFINE_CLEANUP(RuleSet *, rule_set_free);
