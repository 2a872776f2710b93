/* The bodies of an upstream's replies. */
#include "providers/github_reply.h"
#include "providers/json.h"
#include "target.h"
#include <stdlib.h>

static void check(const ProviderMintReply *reply)
{
        Slice token = secret_slice(reply->token);

        if (token.size == 0 || token.size > REPLY_TOKEN_MAX || reply->expires == 0 ||
            !reply->granted)
                abort();
        for (size_t i = 0; i < token.size; i++)
                if (token.data[i] <= ' ' || token.data[i] > '~')
                        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static Arena *arena;
        Pool pool = POOL_NULL(256U * 1024U);
        char message[REPLY_TEXT_MAX];
        ProviderMintReply reply = { 0 };
        GithubInstallation installation;
        GithubApp app;

        if (!arena) {
                json_global_init();
                if (arena_new(&arena, 64U * 1024U))
                        abort();
        }
        if (github_read_mint(slice(data, size), arena, &pool, &reply) == 0)
                check(&reply);
        secret_free(reply.token);
        if (arena_used(arena) != 0)
                abort();
        if (github_read_app(slice(data, size), &app) == 0 && app.id == 0)
                abort();
        (void)!github_read_installation(slice(data, size), &installation);
        (void)!github_read_user(slice(data, size), message);
        reply_message(slice(data, size), message);
        pool_deinit(&pool);
        return 0;
}
