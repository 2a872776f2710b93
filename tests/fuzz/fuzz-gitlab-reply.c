/* What GitLab answers about tokens and projects. */
#include "providers/gitlab_reply.h"
#include "target.h"
#include <stdlib.h>

static void check(const GitlabToken *token, Pool *pool)
{
        Slice value = secret_slice(token->value);
        TextMap map;

        if (token->id == 0 || value.size == 0 || value.size > REPLY_TOKEN_MAX || token->scopes.n > GITLAB_SCOPES_MAX ||
            token->expires % (24 * 3600 * USEC_PER_SEC) != 0)
                abort();
        for (size_t i = 0; i < value.size; i++)
                if (value.data[i] <= ' ' || value.data[i] > '~')
                        abort();
        /* A role that is not known, or above what was asked for, always shows. */
        if (gitlab_permissions(token, GITLAB_REPORTER, pool, &map) == 0 &&
            (text_map_get(&map, "access_level") != NULL) !=
                    (token->access_level == 0 || token->access_level > GITLAB_REPORTER))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static Arena *arena;
        Pool pool = POOL_NULL(256U * 1024U);
        GitlabToken token = { 0 };
        GitlabProject project;

        if (!arena) {
                json_global_init();
                if (arena_new(&arena, 64U * 1024U))
                        abort();
        }
        if (gitlab_read_token(slice(data, size), arena, &pool, &token) == 0)
                check(&token, &pool);
        secret_free(token.value);
        if (arena_used(arena) != 0)
                abort();
        if (gitlab_read_token(slice(data, size), NULL, &pool, &token) == 0 && token.value)
                abort();
        if (gitlab_read_project(slice(data, size), &pool, &project) == 0 && (project.id == 0 || !*project.path))
                abort();
        pool_deinit(&pool);
        return 0;
}
