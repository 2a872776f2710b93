#include "vault/policy_advice.h"
#include "http/rule.h"
#include "vault/egress_hosts.h"
#include "wire/field.h"
#include "wire/preset.h"
#include <stdarg.h>
#include <stdio.h>

#define POOL_MAX (256U * 1024U)

static void say(const Advice *advice, const char *remedy, const char *format, ...) PRINTF_LIKE(3, 4);

static void say(const Advice *advice, const char *remedy, const char *format, ...)
{
        char summary[LIMIT_TEXT];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(summary, sizeof(summary), format, args);
        va_end(args);
        advice->say(advice->userdata, summary, remedy);
}

static bool is_listed(const char *const *list, const char *text)
{
        for (; *list; list++)
                if (strcmp(*list, text) == 0)
                        return true;
        return false;
}

/* ---- rules ---- */

static void check_rules(const ConfigProfile *profile, const Preset *preset, const RuleSet *rules, const Advice *advice)
{
        const EgressPolicy *policy = profile->egress;

        for (size_t i = 0; i < policy->allow.n + policy->deny.n; i++) {
                bool deny = i >= policy->allow.n;
                const char *text = deny ? policy->deny.items[i - policy->allow.n] : policy->allow.items[i];
                const char *warning = rule_warning_among(text, deny, rules);

                if (warning && !(deny && preset && is_listed(preset->deny, text)))
                        say(advice, deny ? "Allow what is wanted, and not all but something." :
                                           "Narrow the rule, or limit what the credential itself may do.",
                            "Profile %s, %s %s: %s (%s).", profile->name, deny ? "deny" : "allow", text, warning,
                            profile->source);
        }
}

/* Every method and every path of a host? That host, in `ret`, without a port. */
static bool is_everything(const char *allow, char ret[HTTP_HOST_MAX + 1])
{
        static const char rest[] = " /**";
        const char *host = allow + 2, *end = host + strcspn(host, " ");

        if (strncmp(allow, "* ", 2) != 0 || strcmp(end, rest) != 0)
                return false;
        (void)snprintf(ret, HTTP_HOST_MAX + 1, "%.*s", (int)strcspn(host, ": "), host);
        return true;
}

static bool has_rule_of(const TextList *deny, const char *const *rules)
{
        for (size_t i = 0; i < deny->n; i++)
                if (is_listed(rules, deny->items[i]))
                        return true;
        return false;
}

/* A known upstream's every path, without what its preset would deny. */
static void check_presets(const ConfigProfile *profile, const Advice *advice)
{
        const EgressPolicy *policy = profile->egress;

        for (size_t i = 0; i < policy->allow.n; i++) {
                char host[HTTP_HOST_MAX + 1], remedy[LIMIT_LABEL];
                const Preset *known;

                if (!is_everything(policy->allow.items[i], host))
                        continue;
                known = preset_of_host(host);
                if (!known || !known->deny[0] || has_rule_of(&policy->deny, known->deny))
                        continue;
                (void)snprintf(remedy, sizeof(remedy), "`preset = %s` denies those paths.", known->name);
                say(advice, remedy,
                    "Profile %s allows everything at %s, also the paths that hand out keys and tokens (%s).",
                    profile->name, host, profile->source);
        }
}

/* ---- hosts ---- */

static bool is_of_preset(const Preset *preset, const char *host)
{
        return preset && is_listed(preset->hosts, host);
}

static int check_hosts(const ConfigProfile *profile, const Preset *preset, const TextList *sealed, const Advice *advice)
{
        const char *items[LIMIT_RULES];
        TextList allowed = { .items = items };
        Pool pool = POOL_NULL(POOL_MAX);
        int r = egress_hosts_allowed(profile->egress, false, LIMIT_RULES, &pool, &allowed);
        bool meet = egress_hosts_meet(&allowed, sealed);

        for (size_t i = 0; r == 0 && meet && i < sealed->n; i++) {
                const TextList one = { &sealed->items[i], 1 };

                if (!egress_hosts_meet(&allowed, &one) && !is_of_preset(preset, sealed->items[i]))
                        say(advice, "Add an `allow` for the host, or store the secret for fewer hosts.",
                            "Profile %s: secret %s is for %s, where no rule allows anything (%s).", profile->name,
                            profile->secret, sealed->items[i], profile->source);
        }
        for (size_t i = 0; r == 0 && i < allowed.n; i++) {
                const TextList one = { &allowed.items[i], 1 };

                if (!egress_hosts_meet(&one, sealed) && !is_of_preset(preset, allowed.items[i]))
                        say(advice, "Hosts of a secret are given when it is added: `mcpcred add --replace`.",
                            "Profile %s allows %s, where secret %s may not be sent: requests go there without it (%s).",
                            profile->name, allowed.items[i], profile->secret, profile->source);
        }
        if (r == 0 && !meet)
                say(advice, "Allow something at a host of the secret, or add the secret for these hosts.",
                    "Profile %s never uses secret %s: no rule allows a host of it (%s).", profile->name,
                    profile->secret, profile->source);
        pool_deinit(&pool);
        return r;
}

/* ---- switches ---- */

static void check_switches(const ConfigProfile *profile, const Advice *advice)
{
        const EgressPolicy *policy = profile->egress;

        if (policy->websocket)
                say(advice, "Leave `websocket` out unless its clients need it.",
                    "Profile %s has websocket = yes: behind the upgrade, no rule and no scrubber sees what is "
                    "sent (%s).",
                    profile->name, profile->source);
        if (policy->scrub == SCRUB_OFF)
                say(advice, "`scrub = mask` is the default.",
                    "Profile %s has scrub = off: an upstream that repeats the credential shows it to the sandbox (%s).",
                    profile->name, profile->source);
        if (policy->cookies)
                say(advice, "Leave `cookies` out unless its clients need it.",
                    "Profile %s has cookies = yes: a cookie can be a credential of its own, and this one reaches the "
                    "sandbox (%s).",
                    profile->name, profile->source);
        for (size_t i = 0; i < policy->addresses.n; i++)
                if (strcmp(policy->addresses.items[i] + strcspn(policy->addresses.items[i], "/"), "/0") == 0)
                        say(advice, "List the networks that the upstream is in.",
                            "Profile %s has addresses = %s: a name may lead anywhere in this network of yours (%s).",
                            profile->name, policy->addresses.items[i], profile->source);
}

int policy_advise(const ConfigProfile *profile, const TextList *sealed, const Advice *advice)
{
        _cleanup_(rule_set_freep) RuleSet *rules = NULL;
        const Preset *preset = profile->preset ? preset_find(profile->preset) : NULL;
        const EgressPolicy *policy = profile->egress;
        int r;

        if (!policy)
                return 0;
        r = rule_set_new(&rules, (const char *const *)policy->allow.items, policy->allow.n,
                         (const char *const *)policy->deny.items, policy->deny.n);
        if (r)
                return error_fold(r);
        check_rules(profile, preset, rules, advice);
        check_presets(profile, advice);
        check_switches(profile, advice);
        return sealed ? check_hosts(profile, preset, sealed, advice) : 0;
}
