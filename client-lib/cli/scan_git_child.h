#pragma once
/*
 * git, run on a repository that may be somebody else's: nothing that its configuration names is run or fetched, what it
 * makes git read cannot take the machine's memory, and what makes git wait for ever is given up.
 */
#include "strings.h"

/* So much of what it prints is at hand at once. */
#define GIT_BUFFER (1024U * 1024U)

typedef struct GitChild {
        pid_t pid;
        int out, err;
        uint8_t *data;
        size_t start, end; /* of what was read and not taken */
        bool over;         /* there is no more */
        unsigned idle;     /* times in a row that it did nothing */
        bool stuck;        /* too often: it was ended */
        char said[256];    /* what it said on stderr, from the first; it is shown to nobody as it is */
        size_t n_said;
} GitChild;

/* 0, or an errno; `words` are the arguments behind the repository, and are taken over. */
int git_child_start(GitChild *git, const char *repository, Strings *words);
/* Until there are `n` bytes, at most GIT_BUFFER. False: they do not come. */
bool git_child_want(GitChild *git, size_t n);
/* The next line without its end, which is replaced by a NUL. NULL: there is none, or it is too long. */
char *git_child_line(GitChild *git, size_t max);
/* Whether it has ended well; `said` stays. */
bool git_child_end(GitChild *git);
