#pragma once
/* What GitLab answers, from bytes to structs, and how its scopes are written here; pure. */
#include "providers/reply.h"
#include "wire/msg_provider.h"

/* Of a member, as in "Project members API". A token's rights are the lesser of its scopes and its role. */
enum {
        GITLAB_REPORTER = 20,
        GITLAB_DEVELOPER = 30,
        GITLAB_MAINTAINER = 40,
};
#define GITLAB_SCOPES_MAX 64U

/* An access token, of a person or of a project. */
typedef struct GitlabToken {
        uint64_t id;
        char name[REPLY_TEXT_MAX];
        TextList scopes;       /* the pool's */
        uint64_t created;      /* wall time, 0 where it is not said */
        uint64_t expires;      /* likewise: midnight UTC at the beginning of that day */
        uint64_t access_level; /* of a project's token, else 0 */
        Secret *value;         /* only where one has just been made; the caller's */
} GitlabToken;

/* `arena` is NULL where no value is expected: one that is there all the same is left alone. */
int gitlab_read_token(Slice body, Arena *arena, Pool *pool, GitlabToken *ret) NODISCARD NONNULL(3, 4);

typedef struct GitlabProject {
        uint64_t id;
        const char *path; /* "group/subgroup/name", the pool's */
} GitlabProject;
int gitlab_read_project(Slice body, Pool *pool, GitlabProject *ret) NODISCARD NONNULL(2, 3);

/*
 * The scopes that a permission stands for: {"read_api"} for api:read, {"api"} for api:write and api:admin. The array
 * ends with NULL; NULL where GitLab has no such scope.
 */
const char *const *gitlab_scopes(const char *permission, const char *level) NONNULL(1, 2);
/* The role that the levels ask for: read is a Reporter's, write a Developer's, admin a Maintainer's. */
uint64_t gitlab_access_level(const TextMap *permissions) NONNULL(1);
/*
 * What a token may do, written as in a profile. A scope of no permission, and a role above `asked`, become
 * permissions that nobody asks for, so that the token is never within what was wanted.
 */
int gitlab_permissions(const GitlabToken *token, uint64_t asked, Pool *pool, TextMap *ret) NODISCARD NONNULL(1, 3, 4);
