#pragma once
/* Between config.c, which finds the files, and config_keys.c, config_egress.c and config_leak.c, which know
 * what keys mean. */
#include "supervisor/config.h"
#include "wire/preset.h"

/* What duplicate keys, missing keys and conflicting ones are found by. */
typedef struct ConfigSection {
        const char *source; /* "file:line" of the header */
        const char *file;
        unsigned line;
        uint64_t seen; /* bit i: key i of the section's tables was given */
        const Preset *preset; /* that a profile names, or NULL */
        bool bad; /* something in it is wrong already: that it is incomplete is then not said */
} ConfigSection;

typedef struct ConfigBuilder {
        Config *config;
        Problems *problems;
        const char *file; /* the one being read */
        unsigned line;    /* of the key */
        const char *notify_file; /* where the command stands, kept; NULL: there is none */
        unsigned notify_line;
        bool system_mode;
        bool no_memory;
        bool on_leak_none; /* the on_leak that is being read has "none" in it */
        enum { SECTION_NONE, SECTION_BROKER, SECTION_PROFILE, SECTION_SECRET } in;
        ConfigSection broker;
        ConfigSection *profiles; /* one for each of config->profiles */
        ConfigSection *secrets;  /* and of config->secrets */
        size_t current;          /* which of them, in SECTION_PROFILE and SECTION_SECRET */
} ConfigBuilder;

typedef struct ConfigKey {
        const char *name;
        bool list; /* may be given again, which adds to it */
        /* Returns NULL or what is wrong with the value. */
        const char *(*set)(ConfigBuilder *builder, const char *value);
} ConfigKey;

/* Keys of a profile that is delivered by proxy or endpoint. */
extern const ConfigKey config_egress_keys[];
extern const size_t n_config_egress_keys;
/* Checks them together and adds what the preset knows; forgets the policy of other profiles. */
void config_egress_finish(ConfigBuilder *builder, ConfigProfile *profile, const ConfigSection *section)
        NONNULL(1, 2, 3);

/* Keys of a section [secret NAME]. */
extern const ConfigKey config_secret_keys[];
extern const size_t n_config_secret_keys;
/* Checks them together. */
void config_secret_finish(ConfigBuilder *builder, const ConfigSecret *secret, const ConfigSection *section)
        NONNULL(1, 2, 3);
/* A profile's: what is done about a leak, and a variable with a handle that nobody has a use for. */
const char *config_set_on_leak(ConfigBuilder *builder, const char *value) NONNULL(1, 2);
const char *config_set_canary(ConfigBuilder *builder, const char *value) NONNULL(1, 2);
void config_canary_finish(ConfigBuilder *builder, const ConfigProfile *profile, const ConfigSection *section)
        NONNULL(1, 2, 3);
/* The broker's: the command that hears of leaks. */
const char *config_set_notify(ConfigBuilder *builder, const char *value) NONNULL(1, 2);

/* What all keys are made of. Those that return a text return NULL or what is wrong. */
ConfigProfile *config_profile(const ConfigBuilder *builder) NONNULL(1);
ConfigSection *config_section(const ConfigBuilder *builder) NONNULL(1);
bool config_was_given(const ConfigSection *section, const char *key) NONNULL(1, 2);
/* A copy in the configuration's pool; always NULL, what fails is builder->no_memory. */
const char *config_keep(ConfigBuilder *builder, const char *value, const char **ret) NONNULL(1, 2, 3);
/* The index of a name in a NULL-terminated table, or -1. */
int config_name_index(const char *const *names, const char *value) NONNULL(1, 2);
const char *config_set_bool(const char *value, bool *ret) NONNULL(1, 2);
/* Into seconds. */
const char *config_set_duration(const char *value, uint64_t min, uint64_t max, uint64_t *ret) NONNULL(1, 4);
/* "10M" into bytes, from `min` to `max`. */
const char *config_set_size(const char *value, uint64_t min, uint64_t max, uint64_t *ret) NONNULL(1, 4);
/* Words divided by blanks; double quotes keep blanks together. */
const char *config_set_words(ConfigBuilder *builder, const char *value, TextList *list) NONNULL(1, 2, 3);
/* Appends to a list in the pool; the array is made at its largest once. */
const char *config_append(ConfigBuilder *builder, TextList *list, size_t max, const char *item)
        NONNULL(1, 2, 4);
/* Calls `add` for each item of a list that commas divide. */
const char *config_each_item(ConfigBuilder *builder, const char *value,
                             const char *(*add)(ConfigBuilder *builder, char *item)) NONNULL(1, 2, 3);
/* May a profile set this variable? */
const char *config_check_variable(const char *name) NONNULL(1);
/* The same where there is a proxy: those that lead to it and make its certificate trusted are the broker's. */
const char *config_check_free_variable(const char *name) NONNULL(1);

/* Callbacks for config_text.h. */
void config_builder_section(void *builder, unsigned line, const char *kind, const char *name);
void config_builder_key(void *builder, unsigned line, const char *name, const char *value);
/* What can be said only when everything was read. */
void config_builder_finish(ConfigBuilder *builder) NONNULL(1);
