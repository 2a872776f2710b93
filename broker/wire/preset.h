#pragma once
/*
 * What is known about an upstream, as data: where its key stands in a request, what its clients call
 * it, which of its hosts take it, and which of its paths hand out keys or tokens and are therefore
 * denied. A profile names one and says nothing about headers. The configuration copies from here into
 * the profile's EgressPolicy; nothing else of the broker looks at a preset, but for what it shows.
 *
 * `deny` is defence in depth: it lists what an upstream documents. What a secret may do at its
 * upstream is the better limit.
 */
#include "wire/egress_policy.h"

#define PRESET_ENV_MAX 4U

typedef struct Preset {
        const char *name;
        const char *title;
        const char *const *hosts; /* that take the credential: "host" or "*.suffix"; NULL-terminated */
        uint32_t slot;            /* SlotKind; SLOT_NONE: the profile has to say it */
        const char *slot_name;    /* of a header (in lower case), a parameter or a field; else NULL */
        const char *slot_prefix;  /* of a header's value or a path's segment; NULL: none */
        const char *const *env;   /* variables that clients read it from, the usual one first; NULL-terminated */
        const char *env_url;      /* the variable of its SDKs for a base URL; NULL: none */
        const char *url_host;     /* what that URL stands for; both are NULL without env_url */
        const char *url_path;     /* NULL: nothing */
        const char *const *allow; /* where the profile has none of its own; NULL-terminated, may be empty */
        const char *const *deny;  /* besides the profile's own */
        const char *note;         /* for a person, about what surprises; NULL: nothing */
} Preset;

extern const Preset presets[];
extern const size_t n_presets;

/* NULL: there is none of that name. */
const Preset *preset_find(const char *name) NONNULL(1);
/* The first preset one of whose hosts is `host` ("api.example.com", or "*.example.com" itself), or NULL. */
const Preset *preset_of_host(const char *host) NONNULL(1);
