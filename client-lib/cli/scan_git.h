#pragma once
/* A git repository's history: every object that it has, reachable or not, as `git cat-file` prints them. */
#include "scan_found.h"

/* Where an object was first put into the history. */
typedef struct GitPlace {
        char object[65];
        char *path;      /* NULL: no commit that anything leads to has it */
        char commit[65];
        char date[32];
} GitPlace;

void scan_git(const Needles *needles, const char *repository, ScanFound *found);
/* Fills the places of these objects of one repository in, by one walk through its history. False: git failed. */
bool scan_git_places(const char *repository, GitPlace *places, size_t n);
