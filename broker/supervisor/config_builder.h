#pragma once
/* Between config.c, which finds the files, and config_keys.c, which knows what keys mean. */
#include "supervisor/config.h"

/* What duplicate keys, missing keys and conflicting ones are found by. */
typedef struct ConfigSection {
        const char *source; /* "file:line" of the header */
        const char *file;
        unsigned line;
        uint32_t seen; /* bit i: key i of the section's table was given */
} ConfigSection;

typedef struct ConfigBuilder {
        Config *config;
        Problems *problems;
        const char *file; /* the one being read */
        bool system_mode;
        bool no_memory;
        enum { SECTION_NONE, SECTION_BROKER, SECTION_PROFILE } in;
        ConfigSection broker;
        ConfigSection *profiles; /* one for each of config->profiles */
        size_t current;          /* which of them, in SECTION_PROFILE */
} ConfigBuilder;

/* Callbacks for config_text.h. */
void config_builder_section(void *builder, unsigned line, const char *kind, const char *name);
void config_builder_key(void *builder, unsigned line, const char *name, const char *value);
/* What can be said only when everything was read. */
void config_builder_finish(ConfigBuilder *builder) NONNULL(1);
