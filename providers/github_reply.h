#pragma once
/* What GitHub answers, from bytes to structs; pure. */
#include "providers/response.h"
#include "wire/msg_provider.h"

/* Today's tokens have about 520 characters, and no limit was promised. */
#define GITHUB_TOKEN_MAX 4096U
/* How a mint is read that says that it reaches all of the installation's repositories: no
 * repository has this name, so that it is never within what was asked for. */
#define GITHUB_ALL_REPOSITORIES "*"
#define GITHUB_TEXT_MAX         200U

typedef enum GithubError {
        _GITHUB_E_SUCCESS,
        GITHUB_E_SENSELESS, /* not what is documented */
        GITHUB_E_NO_SPACE,  /* the arena or the pool has no room */
} GithubError;

/*
 * Reads the reply to a mint. Members that are not known are skipped, those that are used are
 * strict: a token that fits into a header, a time, levels that are texts. `upstream_id` stays NULL.
 */
int github_read_mint(Slice body, Arena *arena, Pool *pool, ProviderMintReply *ret) NODISCARD
        NONNULL(2, 3, 4);

/* Of GET /app. */
typedef struct GithubApp {
        uint64_t id;
        char client_id[GITHUB_TEXT_MAX]; /* empty where there is none (older servers) */
        char name[GITHUB_TEXT_MAX];      /* fit to be shown */
} GithubApp;
int github_read_app(Slice body, GithubApp *ret) NODISCARD NONNULL(2);

/* Of GET /app/installations/ID. */
typedef struct GithubInstallation {
        char account[GITHUB_TEXT_MAX];
        bool suspended;
} GithubInstallation;
int github_read_installation(Slice body, GithubInstallation *ret) NODISCARD NONNULL(2);

/* The "message" of an error body, if it is a sentence that can be shown: printable ASCII and no
 * word so long that it might be a credential. Empty otherwise. */
void github_read_message(Slice body, char ret[GITHUB_TEXT_MAX]) NONNULL(2);

/*
 * What a response that is not a success means, by status, headers and body. FAULT_NONE for 200 to
 * 299. A rate limit comes with the time to wait.
 */
Fault github_classify(const ResponseHead *head, Slice body, uint64_t now_usec,
                      uint64_t *ret_retry_after_usec) NONNULL(1, 4);
