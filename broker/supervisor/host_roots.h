#pragma once
/* The certificates that programs of this host trust, for the file that a session's child gets in their place. */
#include "base/buf.h"

/* What the bundle of a host may be: Debian's has 220 KB. */
#define HOST_ROOTS_MAX (4U * 1024U * 1024U)

/* Appends the host's bundle, from where the distributions keep it, and the file `extra` (NULL: none). A host
 * without a bundle is no error; -errno otherwise. */
int host_roots_append(Buf *roots, const char *extra) NODISCARD NONNULL(1);
