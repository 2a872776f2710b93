#pragma once
/*
 * What is known of each provider without asking any upstream: what it takes, what it can do, and
 * what a person has to do by hand. Shared by all who need to know that before a provider process
 * runs (the configuration check, the vault, the command). Pure data and pure checks.
 */
#include "base/token_format.h"
#include "wire/scope.h"

/* How the vault proves to the upstream that we may ask (Upstream.proof). */
typedef enum ProviderProof {
        PROVIDER_PROOF_NONE, /* the secret never goes to a provider process */
        /* RS256, made in the vault: iat now - 60 s, exp at most now + 540 s, iss app_id */
        PROVIDER_PROOF_GITHUB_JWT,
        /* the secret itself, to the one process that carries out the one call: the upstream wants nothing less */
        PROVIDER_PROOF_RAW,
} ProviderProof;

/* What the value of the secret has to look like. The vault checks it: only it sees the value. */
typedef enum ProviderValue {
        PROVIDER_VALUE_TEXT,        /* one line of printable ASCII */
        PROVIDER_VALUE_RSA_KEY_PEM, /* PKCS#1 or PKCS#8, not encrypted */
        /* a word of printable ASCII; if it begins like a token with a checksum (token_format.h), that has to fit */
        PROVIDER_VALUE_TOKEN,
        PROVIDER_VALUE_GITHUB_TOKEN, /* likewise, and a personal access token or an OAuth token of GitHub's */
} ProviderValue;

/* What `repositories` and `permissions` mean. */
typedef enum ProviderScope {
        PROVIDER_SCOPE_NONE,   /* nothing here: the secret is not narrowed */
        PROVIDER_SCOPE_GITHUB, /* repositories of one owner; any name with read, write or admin */
        /* one project, in any depth of groups; the level is the role too: Reporter, Developer or Maintainer */
        PROVIDER_SCOPE_GITLAB,
} ProviderScope;

typedef enum ProviderParameterKind {
        PROVIDER_PARAMETER_NUMBER,        /* 1 to 20 digits, no leading zero */
        PROVIDER_PARAMETER_HEX32,         /* 32 hexadecimal digits in lower case */
        PROVIDER_PARAMETER_GITHUB_APP_ID, /* such a number, or a client id ("Iv23li...") */
} ProviderParameterKind;

typedef struct ProviderParameter {
        const char *name;
        ProviderParameterKind kind;
        bool required;
        const char *help; /* one line for a person, without a full stop */
} ProviderParameter;

/* How a new value of the secret itself comes about. */
typedef enum ProviderRotation {
        PROVIDER_ROTATION_GUIDED,  /* a person makes it */
        PROVIDER_ROTATION_CREATE,  /* the provider makes it, and ends the old one afterwards */
        PROVIDER_ROTATION_REPLACE, /* making it kills the old one: a lost reply needs a person */
} ProviderRotation;

typedef struct ProviderInfo {
        const char *name;
        const char *title;
        ProviderProof proof;
        ProviderValue value;
        const ProviderParameter *parameters;
        size_t n_parameters;
        const char *base_url; /* where the user gives none; NULL only for one that sends nothing */
        const char *env;      /* the variable that its clients usually read, or NULL; each profile names its own */
        bool can_verify;
        bool can_mint;
        bool can_revoke;         /* a minted credential, at the upstream, by its value or its id */
        uint64_t token_lifetime; /* seconds, at most; 0: nothing is minted */
        bool needs_hosts;        /* a secret has to say where it may be sent */
        const char *preset;      /* whose hosts those usually are, preset.h; NULL: nobody's */
        bool needs_repositories; /* a profile has to name them */
        bool needs_permissions;  /* likewise */
        bool webhook_key;        /* webhooks are checked with it: it leaves the vault for nothing, and no profile has it */
        ProviderScope scope;
        const char *const *permission_names; /* NULL-terminated: there are no others; NULL: any may be */
        ProviderRotation rotation;
        bool can_revoke_secret;  /* a value of the secret itself, at the upstream */
        unsigned revoke_parallel; /* revocations that its upstream is asked for at once; 0: REVOKE_PARALLEL_DEFAULT */
        unsigned revoke_together; /* values of the secret that one call takes, by themselves; 0: one, with its proof */
        unsigned revoke_hourly;   /* such calls that the upstream takes in an hour; 0: it does not count them */
        const char *token_prefix;  /* of what it mints, for scanners; NULL: none is known */
        const char *secret_prefix; /* of the secret's value, likewise */
        TokenKind secret_kind;     /* of the secret's value, where its form tells; TOKEN_KIND_NONE: it does not */
        const char *rotate_create; /* what to do upstream before pasting the new value */
        const char *rotate_delete; /* what to do upstream once the new one is in use */
} ProviderInfo;

#define REVOKE_PARALLEL_DEFAULT 4U

/* In the order in which they are listed to people. */
extern const ProviderInfo provider_infos[];
extern const size_t n_provider_infos;

/* NULL for a name that is none of them. */
const ProviderInfo *provider_info(const char *name) NONNULL(1);
/* NULL if the provider takes no such parameter. */
const ProviderParameter *provider_parameter(const ProviderInfo *info, const char *name)
        NONNULL(1, 2);
bool provider_parameter_is_valid(const ProviderParameter *parameter, const char *value)
        NONNULL(1, 2);

/*
 * Whether a value has the form that the provider's secrets have; NULL if so, or a sentence for a person that
 * says nothing of the value. Of a PEM key nothing is checked here: the vault reads it.
 */
const char *provider_check_value(const ProviderInfo *info, Slice value) NONNULL(1);

/*
 * The checks below return NULL if all is well, or a sentence for a person. What is at fault is
 * named in `field`, if it is one: a parameter's or a scope's member's name, valid as long as `info`
 * and the arguments.
 */
const char *provider_check_parameters(const ProviderInfo *info, const TextMap *parameters,
                                      const char **ret_field) NONNULL(1, 2, 3);
/*
 * What a profile or a mint asks for: complete as the provider needs it, and well-formed. GitHub
 * takes the short names of repositories of one owner, so all of them must have the same; GitLab makes
 * a token for one project, and with one role.
 */
const char *provider_check_scope(const ProviderInfo *info, const Scope *scope,
                                 const char **ret_field) NONNULL(1, 2, 3);
/*
 * https://HOST[:PORT][/PATH]: no user, query, fragment, percent-encoding or dot segment, so that a
 * person sees where the secret goes and nothing else reads it otherwise. A "/" at the end is fine.
 */
const char *provider_check_base_url(const char *url) NONNULL(1);
