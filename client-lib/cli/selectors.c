#include "selectors.h"
#include <pwd.h>
#include <string.h>

static bool is_number(const char *text)
{
        return *text && strspn(text, "0123456789") == strlen(text);
}

/* By name, as far as this machine knows it. */
static int apply_principal(Cli *cli, const Verb *verb, const char *user, mcpcred_selector *selector)
{
        char number[24];
        const struct passwd *entry;

        if (is_number(user)) {
                (void)snprintf(number, sizeof(number), "%.20s", user);
        } else {
                entry = getpwnam(user);
                if (!entry)
                        return cli_fail_local(cli, EXIT_NO_SUCH, "NotFound", "Give the number of the user.",
                                              "There is no user %s on this machine.", user);
                (void)snprintf(number, sizeof(number), "%lu", (unsigned long)entry->pw_uid);
        }
        if (mcpcred_selector_set(selector, MCPCRED_SELECT_PRINCIPAL, number))
                return cli_usage(cli, verb, "--principal: %s is no user", user);
        return 0;
}

int selectors_apply(Cli *cli, const Verb *verb, const Selectors *given, mcpcred_selector *selector, size_t *ret_n)
{
        const struct {
                const char *text, *name;
                mcpcred_select what;
        } all[] = { { given->session, "session", MCPCRED_SELECT_SESSION },
                    { given->profile, "profile", MCPCRED_SELECT_PROFILE },
                    { given->secret, "secret", MCPCRED_SELECT_SECRET },
                    { given->provider, "provider", MCPCRED_SELECT_PROVIDER },
                    { given->since, "since", MCPCRED_SELECT_SINCE } };

        *ret_n = given->principal != NULL;
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                if (!all[i].text)
                        continue;
                (*ret_n)++;
                if (mcpcred_selector_set(selector, all[i].what, all[i].text))
                        return cli_usage(cli, verb,
                                         all[i].what == MCPCRED_SELECT_SINCE
                                                 ? "--%s takes how long ago (\"2h\"), or a time as \"2026-01-31T08:00:00Z\""
                                                 : "--%s is empty",
                                         all[i].name);
        }
        return given->principal ? apply_principal(cli, verb, given->principal, selector) : 0;
}
