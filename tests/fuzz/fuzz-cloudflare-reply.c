/* What Cloudflare answers about tokens. */
#include "providers/cloudflare_reply.h"
#include "wire/field.h"
#include "target.h"
#include <stdlib.h>

static void check(const CloudflareToken *token, Pool *pool)
{
        Slice value = secret_slice(token->value);
        TextList rights;
        bool known;

        if (!reply_is_id(token->id) || value.size == 0 || value.size > REPLY_TOKEN_MAX)
                abort();
        if (!token->policies || cloudflare_rights(token->policies, pool, &rights, &known))
                return;
        if (rights.n > LIMIT_RIGHTS)
                abort();
        for (size_t i = 0; i < rights.n; i++)
                if (strlen(rights.items[i]) > LIMIT_LABEL)
                        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static Arena *arena;
        Pool pool = POOL_NULL(256U * 1024U);
        CloudflareToken token = { 0 };
        CloudflarePage page;

        if (!arena) {
                json_global_init();
                if (arena_new(&arena, 64U * 1024U))
                        abort();
        }
        if (cloudflare_read_token(slice(data, size), arena, &token) == 0)
                check(&token, &pool);
        cloudflare_token_deinit(&token);
        if (arena_used(arena) != 0)
                abort();
        if (cloudflare_read_page(slice(data, size), "mcpcred", &page) == 0)
                for (size_t i = 0; i < page.n; i++)
                        if (!reply_is_id(page.ids[i]))
                                abort();
        pool_deinit(&pool);
        return 0;
}
