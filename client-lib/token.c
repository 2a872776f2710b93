#include "client.h"
#include "base/fd.h"
#include <string.h>

struct mcpcred_token {
        Arena *arena;
        Pool pool;
        TokenReply body;
        Secret *value; /* with a NUL behind it */
};

static mcpcred_token *token_new(void)
{
        mcpcred_token *token = calloc(1, sizeof(*token));

        if (!token)
                return NULL;
        token->pool = POOL_NULL(CLIENT_POOL_MAX);
        if (arena_new(&token->arena, CLIENT_ARENA_SIZE))
                return mcpcred_token_free(token);
        return token;
}

mcpcred_token *mcpcred_token_free(mcpcred_token *token)
{
        if (!token)
                return NULL;
        schema_clear(&schema_token_reply, &token->body);
        secret_free(token->value);
        pool_deinit(&token->pool);
        arena_free(token->arena);
        free(token);
        return NULL;
}

static void token_freep(mcpcred_token **token)
{
        mcpcred_token_free(*token);
}

static int keep(mcpcred *client, void *body, Pool *pool UNUSED, bool more UNUSED, void *userdata)
{
        mcpcred_token *token = userdata;
        Slice bytes;

        token->body = *(TokenReply *)body;
        *(TokenReply *)body = (TokenReply){ 0 };
        bytes = secret_slice(token->body.token);
        if (secret_new(&token->value, token->arena, bytes.size + 1) ||
            secret_append(token->value, bytes) || secret_append(token->value, slice("", 1)))
                return client_fail(client, MCPCRED_E_NO_MEMORY, "%s", "");
        return 0;
}

int mcpcred_token_get(mcpcred *client, const char *session, const char *profile,
                      mcpcred_token **ret)
{
        _cleanup_(token_freep) mcpcred_token *token = token_new();
        const GetTokenRequest request = { .session = session, .profile = profile };
        Call call = { CALL(BROKER_GET_TOKEN), .request = &request, .reply = keep,
                      .userdata = token };
        int r;

        client_clear_error(client);
        if (!token)
                return client_fail(client, MCPCRED_E_NO_MEMORY, "%s", "");
        call.arena = token->arena;
        call.pool = &token->pool;
        r = call_run(client, &call);
        if (r == 0)
                *ret = take_ptr(token);
        return r;
}

/* ---- inside a session ---- */

static int ask_session(mcpcred *client, Link *link, SessionTokenRequest *request,
                       mcpcred_token *token)
{
        const Call call = { .interface = &interface_session,
                            .method = SESSION_GET_TOKEN,
                            .request = request,
                            .request_fd = -1,
                            .arena = token->arena,
                            .pool = &token->pool,
                            .reply = keep,
                            .userdata = token };
        int r = inside_reach(client, link, token->arena, &request->session);

        return r ? r : call_on_link(client, link, &call);
}

int mcpcred_session_token(mcpcred *client, const char *profile, mcpcred_token **ret)
{
        _cleanup_(token_freep) mcpcred_token *token = token_new();
        SessionTokenRequest request = { .profile = profile };
        Link link = LINK_NULL;
        int r;

        client_clear_error(client);
        if (!token)
                return client_fail(client, MCPCRED_E_NO_MEMORY, "%s", "");
        r = ask_session(client, &link, &request, token);
        secret_free(request.session);
        link_close(&link);
        if (r == 0)
                *ret = take_ptr(token);
        return r;
}

const char *mcpcred_token_value(const mcpcred_token *token)
{
        return (const char *)secret_slice(token->value).data;
}

size_t mcpcred_token_size(const mcpcred_token *token)
{
        return secret_size(token->value) - 1;
}

const char *mcpcred_token_profile(const mcpcred_token *token)
{
        return token->body.profile;
}

uint64_t mcpcred_token_expires(const mcpcred_token *token)
{
        return token->body.expires;
}
