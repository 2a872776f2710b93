#pragma once
/* The options that say which sessions and credentials are meant; `revoke` and `leases` take them. */
#include "cli.h"

typedef struct Selectors {
        const char *session, *profile, *secret, *provider, *principal, *since;
} Selectors;

/* For option tables: `type` has a Selectors member `selectors`. */
#define SELECTOR_OPTIONS(type)                                                                     \
        { "session", OPTION_TEXT, offsetof(type, selectors.session), "ID", "of this session" },    \
                { "profile", OPTION_TEXT, offsetof(type, selectors.profile), "NAME",               \
                  "given by this profile" },                                                       \
                { "secret", OPTION_TEXT, offsetof(type, selectors.secret), "NAME",                 \
                  "made with this secret" },                                                       \
                { "provider", OPTION_TEXT, offsetof(type, selectors.provider), "NAME",             \
                  "of this kind of upstream" },                                                    \
                { "principal", OPTION_TEXT, offsetof(type, selectors.principal), "USER",           \
                  "of sessions that this user opened: a name or a number" },                       \
        {                                                                                          \
                "since", OPTION_TEXT, offsetof(type, selectors.since), "TIME",                     \
                        "given since then: \"2h\" ago, or \"2026-01-31T08:00:00Z\""                \
        }

/* Puts them into the selector. 0 or an exit status; on failure it has complained. `ret_n`: how many there were. */
int selectors_apply(Cli *cli, const Verb *verb, const Selectors *given, mcpcred_selector *selector, size_t *ret_n);
