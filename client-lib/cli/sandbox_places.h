#pragma once
/*
 * What a sandbox does not see of this system: homes, runtime directories and their sockets, the
 * broker's own directories. All paths are canonical: absolute and without links, as far as they
 * exist.
 */
#include "strings.h"

typedef struct Places {
        Strings hidden; /* directories that are empty inside; none is within another */
        Strings masked; /* sockets that stand elsewhere: nothing answers there inside */
        Strings closed; /* the broker's, buses, keyrings: never bound, nor what holds them */
        char *home;     /* where HOME points inside: an empty directory within a hidden one */
} Places;

/* Needs a client that is connected. False: there is no memory. */
bool places_find(Places *places, Cli *cli);
void places_free(Places *places);
/* Whether a path is not there inside, unless it is bound. */
bool places_hide(const Places *places, const char *path);
/* The closed place that binding this path would open; NULL: none. */
const char *places_opened_by(const Places *places, const char *path);

/* The canonical form of a path; what does not exist of it is kept as it is. The caller frees. NULL,
 * with errno: there is no memory, or ".." stands behind what does not exist (EINVAL). */
char *path_canonical(const char *path);
/* Equal to the directory, or below it; both canonical. */
bool path_is_within(const char *path, const char *directory);
/* Where a chain of links would end, its last part included, though it need not exist. */
char *path_follow(const char *path);
