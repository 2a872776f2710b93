#pragma once
/*
 * The lines of one configuration file: bytes in, sections and keys out, nothing else touched. inih
 * splits keys from values and takes off comments; around it stands what it does not check:
 * encoding, control characters, lines it would cut, sections and lines it would let pass.
 */
#include "base/slice.h"
#include "supervisor/problems.h"

typedef struct ConfigText {
        const char *file; /* as it is to be named in problems */
        Problems *problems;
        void *userdata;
        /* "[kind]" or "[kind name]"; `name` is "" in the former. */
        void (*section)(void *userdata, unsigned line, const char *kind, const char *name);
        /* A key of the section that came last. Not called for keys before any section. */
        void (*key)(void *userdata, unsigned line, const char *name, const char *value);
} ConfigText;

/* Goes on after a problem, so that all of them are found. */
int config_text_parse(const ConfigText *text, Slice bytes) NODISCARD NONNULL(1);
