#pragma once
/* The command that hears of leaks. It runs with the owner's rights, so nobody else may be able to change it. */
#include "base/error.h"
#include "base/macros.h"

/* Whether a path may be run: a regular file that its owner can execute, which like every directory above it, and every
 * link that leads to it, belongs to this user or root and is writable by nobody else. NULL, or what is wrong. */
const char *notify_check_command(const char *path) NODISCARD NONNULL(1);
