#pragma once
/* What GitHub answers, from bytes to structs; pure. */
#include "providers/reply.h"
#include "wire/msg_provider.h"

/* How a mint is read that says that it reaches all of the installation's repositories: no
 * repository has this name, so that it is never within what was asked for. */
#define GITHUB_ALL_REPOSITORIES "*"

/*
 * Reads the reply to a mint. Members that are not known are skipped, those that are used are
 * strict: a token that fits into a header, a time, levels that are texts. `upstream_id` stays NULL.
 */
int github_read_mint(Slice body, Arena *arena, Pool *pool, ProviderMintReply *ret) NODISCARD
        NONNULL(2, 3, 4);

/* Of GET /app. */
typedef struct GithubApp {
        uint64_t id;
        char client_id[REPLY_TEXT_MAX]; /* empty where there is none (older servers) */
        char name[REPLY_TEXT_MAX];      /* fit to be shown */
} GithubApp;
int github_read_app(Slice body, GithubApp *ret) NODISCARD NONNULL(2);

/* Of GET /app/installations/ID. */
typedef struct GithubInstallation {
        char account[REPLY_TEXT_MAX];
        bool suspended;
} GithubInstallation;
int github_read_installation(Slice body, GithubInstallation *ret) NODISCARD NONNULL(2);

/* Of GET /user: who it is, fit to be shown. */
int github_read_user(Slice body, char ret_login[REPLY_TEXT_MAX]) NODISCARD NONNULL(2);
/* "repo, read:org" of the header X-OAuth-Scopes; an empty one is a list of none. */
int github_read_scopes(const char *header, Pool *pool, TextList *ret) NODISCARD NONNULL(1, 2, 3);

/*
 * reply_classify() with the 403 by which GitHub says that a limit is reached.
 */
Fault github_classify(const ResponseHead *head, Slice body, uint64_t now_usec,
                      uint64_t *ret_retry_after_usec) NONNULL(1, 4);
