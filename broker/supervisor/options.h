#pragma once
/* The command line of mcpcredd, and the directories that follow from it and the environment. */
#include "base/error.h"
#include "base/macros.h"

typedef struct Options {
        char *runtime_directory, *state_directory, *config_directory,
                *libexec_directory; /* absolute */
        bool system_mode, check, foreground, help, version;
} Options;

#define OPTIONS_NULL ((Options){ .runtime_directory = NULL })

enum {
        _OPTIONS_E_SUCCESS,
        OPTIONS_E_USAGE, /* said on stderr */
};

int options_parse(Options *options, int argc, char **argv) NODISCARD NONNULL(1, 3);
void options_deinit(Options *options);
void options_print_help(void);
