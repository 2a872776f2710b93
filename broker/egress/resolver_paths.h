#pragma once
/*
 * Where the files of name resolution can be on this machine. A rule on a file is lost when the file is
 * replaced by rename(), as networks that come and go do with resolv.conf, and this process lives for
 * days; so the rules are on their directories.
 */
#include "harden/harden.h"
#include <limits.h>

#define RESOLVER_PATHS_MAX 2U

typedef struct ResolverPaths {
        char resolv_conf[PATH_MAX]; /* the directory that /etc/resolv.conf leads into */
        HardenPath items[RESOLVER_PATHS_MAX];
        size_t n;
} ResolverPaths;

/* `ret->items` point into `ret`. */
void resolver_paths_find(ResolverPaths *ret) NONNULL(1);
