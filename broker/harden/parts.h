#pragma once
/* The layers of harden_confine(), one file each; also what the tests apply singly. */
#include "harden/harden.h"

/* HARDEN_E_NO_LANDLOCK when the kernel has none. */
int harden_landlock(const HardenProfile *profile, const HardenPath *paths, size_t n_paths) NODISCARD
        NONNULL(1);
int harden_limits(const HardenProfile *profile) NODISCARD NONNULL(1);
int harden_seccomp(const HardenProfile *profile) NODISCARD NONNULL(1);
