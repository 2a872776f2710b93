#include "providers/cloudflare_reply.h"
#include "providers/revocation.h"
#include "base/text.h"
#include "base/wipe.h"
#include <stdio.h>

/* A page of tokens with their policies. */
#define REPLY_MAX     (2U * 1024U * 1024U)
#define PATH_MAX_SIZE 256U
/* Of tokens, which is a hundred times as many as a user has by default. */
#define PAGES_MAX 100U

static const char *const headers[] = {
        "Accept: application/json",
        NULL,
};
static const char *const headers_json[] = {
        "Accept: application/json",
        "Content-Type: application/json",
        NULL,
};

static const char *meaning(Fault fault)
{
        switch (fault) {
        case FAULT_UPSTREAM_ROOT_INVALID:
                return "Cloudflare refuses the token: it is wrong, has expired, or was deleted";
        case FAULT_UPSTREAM_DENIED:
                return "Cloudflare denies this to the token; it needs the permission \"API Tokens Write\"";
        case FAULT_UPSTREAM_NO_TARGET:
                return "Cloudflare has no such token or account at this address";
        case FAULT_UPSTREAM_BAD_SCOPE:
                return "Cloudflare does not take this";
        case FAULT_UPSTREAM_RATE_LIMITED:
                return "Cloudflare's rate limit is reached";
        default:
                return "Cloudflare failed at this, or its answer makes no sense";
        }
}

static int fail(Operation *operation, Fault fault, const HttpsResponse *response)
{
        char message[REPLY_TEXT_MAX];

        reply_message(buf_slice(&response->body), message);
        return operation_fail(operation, fault, "%s (status %u%s%s).", meaning(fault), response->head.status,
                              *message ? ": " : "", message);
}

static int check(Operation *operation, const HttpsResponse *response)
{
        Fault fault = reply_classify(&response->head, clock_wall(operation->clock), &operation->retry_after_usec);

        return fault == FAULT_NONE ? 0 : fail(operation, fault, response);
}

static int understood(Operation *operation, int r, const HttpsResponse *response)
{
        return r == REPLY_E_SENSELESS ? fail(operation, FAULT_UPSTREAM_UNKNOWN, response) : error_fold(r);
}

/* "/user/tokens" or, of tokens that belong to an account, "/accounts/ID/tokens"; `rest` behind it. */
static const char *tokens_path(const Operation *operation, const char *rest, char out[PATH_MAX_SIZE])
{
        const char *account = operation_parameter(operation, "account_id");

        (void)snprintf(out, PATH_MAX_SIZE, "%s%s/tokens%s", account ? "/accounts/" : "/user", account ? account : "", rest);
        return out;
}

static const char *token_path(const Operation *operation, const char *id, char out[PATH_MAX_SIZE])
{
        char rest[CLOUDFLARE_ID_SIZE + 1];

        (void)snprintf(rest, sizeof(rest), "/%s", id);
        return tokens_path(operation, rest, out);
}

static int send(Operation *operation, const char *method, const char *path, const Secret *bearer, HttpsResponse *response)
{
        HttpsRequest request = {
                .method = method,
                .bearer = bearer,
                .headers = headers,
                .response_max = REPLY_MAX,
        };

        return operation_send(operation, &request, path, response);
}

/* ---- verify ---- */

/* Which token this is. A value that is not of the form of any is answered with 400. */
static int get_verify(Operation *operation, const Secret *token, CloudflareToken *ret)
{
        _cleanup_(https_response_deinit) HttpsResponse response = HTTPS_RESPONSE_NULL;
        char path[PATH_MAX_SIZE];
        int r = send(operation, "GET", tokens_path(operation, "/verify", path), token, &response);

        if (r)
                return r;
        if (response.head.status == 400)
                return fail(operation, FAULT_UPSTREAM_ROOT_INVALID, &response);
        r = check(operation, &response);
        if (r == 0)
                r = understood(operation, cloudflare_read_token(buf_slice(&response.body), NULL, ret), &response);
        if (r == 0 && !ret->active)
                r = operation_fail(operation, FAULT_UPSTREAM_ROOT_INVALID, "The token is disabled at Cloudflare, or has expired.");
        return r;
}

static int get_token(Operation *operation, const char *id, const Secret *bearer, CloudflareToken *ret)
{
        _cleanup_(https_response_deinit) HttpsResponse response = HTTPS_RESPONSE_NULL;
        char path[PATH_MAX_SIZE];
        int r = send(operation, "GET", token_path(operation, id, path), bearer, &response);

        if (r == 0)
                r = check(operation, &response);
        if (r == 0)
                r = understood(operation, cloudflare_read_token(buf_slice(&response.body), NULL, ret), &response);
        return r;
}

static int tell_rights(Operation *operation, const CloudflareToken *token, ProviderVerifyReply *reply)
{
        if (!token->policies)
                return 0;
        return error_fold(cloudflare_rights(token->policies, operation->pool, &reply->rights, &reply->rights_known));
}

/* A token that may not look at tokens works all the same; it cannot be rotated from here. */
static int verify(Operation *operation, ProviderVerifyReply *reply)
{
        CloudflareToken self = { 0 }, token = { 0 };
        char text[REPLY_TEXT_MAX + 200];
        bool denied = false;
        int r = get_verify(operation, operation->upstream->proof, &self);

        if (r == 0) {
                r = get_token(operation, self.id, operation->upstream->proof, &token);
                denied = r == FAULT_UPSTREAM_DENIED;
                r = denied ? 0 : r;
        }
        if (r == 0) {
                (void)snprintf(text, sizeof(text), "Cloudflare API token %s%s%s%s%s", token.name, *token.name ? " (" : "",
                               self.id, *token.name ? ")" : "",
                               denied ? ", without \"API Tokens Write\": it cannot be rotated from here" : "");
                *reply = (ProviderVerifyReply){ .checked = true, .expires = self.expires };
                r = tell_rights(operation, &token, reply);
        }
        if (r == 0)
                r = pool_text(operation->pool, slice_text(self.id), &reply->secret_id);
        if (r == 0)
                r = pool_text(operation->pool, slice_text(text), &reply->identity);
        cloudflare_token_deinit(&self);
        cloudflare_token_deinit(&token);
        return r;
}

/* ---- rotate ---- */

/* A permission is asked for by its id; the name beside it is Cloudflare's own to tell. */
static json_t *policies_to_ask_for(const json_t *told)
{
        json_t *policies = json_deep_copy(told), *policy, *group;
        size_t i, j;

        json_array_foreach(policies, i, policy)
                json_array_foreach(json_object_get(policy, "permission_groups"), j, group)
                        (void)json_object_del(group, "name");
        return policies;
}

/* The same rights and restrictions under another name, and as long a life as the old one had. */
static json_t *successor(const Operation *operation, const CloudflareToken *old, const char *name)
{
        json_t *body = json_pack("{s:s,s:o}", "name", name, "policies", policies_to_ask_for(old->policies));
        char time[TEXT_TIME_SIZE];
        bool ok = body != NULL;

        if (ok && old->condition)
                ok = json_object_set(body, "condition", old->condition) == 0;
        if (ok && old->expires > 0 && old->expires > old->issued && old->issued > 0) {
                text_time(clock_wall(operation->clock) + (old->expires - old->issued), time);
                ok = json_object_set_new(body, "expires_on", json_string(time)) == 0;
        } else if (ok && old->expires > 0) {
                text_time(old->expires, time);
                ok = json_object_set_new(body, "expires_on", json_string(time)) == 0;
        }
        if (!ok)
                json_decref(body);
        return ok ? body : NULL;
}

static int read_self(Operation *operation, CloudflareToken *ret)
{
        CloudflareToken self = { 0 };
        int r = get_verify(operation, operation->upstream->proof, &self);

        if (r == 0)
                r = get_token(operation, self.id, operation->upstream->proof, ret);
        if (r == 0 && !ret->policies) {
                r = operation_fail(operation, FAULT_UPSTREAM_UNKNOWN, "Cloudflare does not say what the token may do.");
                cloudflare_token_deinit(ret);
        }
        cloudflare_token_deinit(&self);
        return r;
}

static int create(Operation *operation, json_t *json, CloudflareToken *ret)
{
        _cleanup_(https_response_deinit) HttpsResponse response = HTTPS_RESPONSE_NULL;
        char path[PATH_MAX_SIZE], *body = json ? json_dumps(json, JSON_COMPACT) : NULL;
        HttpsRequest request = {
                .method = "POST",
                .bearer = operation->upstream->proof,
                .headers = headers_json,
                .body = slice_text(body),
                .response_max = REPLY_MAX,
        };
        int r = body ? operation_send(operation, &request, tokens_path(operation, "", path), &response) : -ENOMEM;

        wipe_free(body);
        if (r == 0)
                r = check(operation, &response);
        return r ? r : understood(operation, cloudflare_read_token(buf_slice(&response.body), operation->arena, ret),
                                  &response);
}

static int rotate(Operation *operation, const ProviderRotateRequest *request, ProviderRotateReply *reply)
{
        CloudflareToken old = { 0 }, made = { 0 };
        _cleanup_(json_freep) json_t *body = NULL;
        int r;

        if (strlen(request->label) > CLOUDFLARE_NAME_MAX)
                return operation_fail(operation, FAULT_INVALID_PARAMETER, "The label is too long for Cloudflare.");
        r = operation_only_read(operation, read_self(operation, &old));
        if (r)
                return r;
        body = successor(operation, &old, request->label);
        r = create(operation, body, &made);
        if (r == 0)
                r = pool_text(operation->pool, slice_text(old.id), &reply->old_secret_id);
        if (r == 0)
                r = pool_text(operation->pool, slice_text(made.id), &reply->secret_id);
        if (r == 0) {
                reply->expires = made.expires;
                reply->secret = take_ptr(made.value);
        }
        cloudflare_token_deinit(&old);
        cloudflare_token_deinit(&made);
        return r;
}

/* ---- the end of a token ---- */

static int probe(Operation *operation, const Secret *token)
{
        CloudflareToken found = { 0 };
        int r = get_verify(operation, token, &found);

        cloudflare_token_deinit(&found);
        return r;
}

static const Revocation revocation = { .upstream = "Cloudflare", .probe = probe };

/* 0: deleted, or not there. */
static int delete_token(Operation *operation, const char *id, const Secret *bearer, bool *ret_not_found)
{
        _cleanup_(https_response_deinit) HttpsResponse response = HTTPS_RESPONSE_NULL;
        char path[PATH_MAX_SIZE];
        int r = send(operation, "DELETE", token_path(operation, id, path), bearer, &response);

        if (r)
                return r;
        *ret_not_found = response.head.status == 404;
        return *ret_not_found ? 0 : check(operation, &response);
}

/* Where the value is not known any more: with the one in use, by its id. */
static int confirm_by_id(Operation *operation, const char *id, ProviderRevokeReply *reply)
{
        CloudflareToken token = { 0 };
        int r = get_token(operation, id, operation->upstream->proof, &token);
        bool active = token.active;

        cloudflare_token_deinit(&token);
        if (r < 0)
                return r;
        if (r == 0 && active)
                return operation_fail(operation, FAULT_UPSTREAM_UNKNOWN,
                                      "Cloudflare took the deletion, and still has the token.");
        operation->retry_after_usec = 0;
        reply->probed = r == 0 || r == FAULT_UPSTREAM_NO_TARGET;
        return 0;
}

/* Its id, from its value. `ret_dead`: Cloudflare says that the value is none. */
static int find_id(Operation *operation, const Secret *value, char ret[CLOUDFLARE_ID_SIZE], bool *ret_dead)
{
        CloudflareToken token = { 0 };
        int r = get_verify(operation, value, &token);

        *ret_dead = r == FAULT_UPSTREAM_ROOT_INVALID;
        if (r == 0)
                (void)snprintf(ret, CLOUDFLARE_ID_SIZE, "%s", token.id);
        cloudflare_token_deinit(&token);
        return *ret_dead ? 0 : operation_only_read(operation, r);
}

/* With the value in use, or, where that is not given, with the one that is to end. */
static int revoke_secret(Operation *operation, const ProviderRevokeSecretRequest *request, ProviderRevokeReply *reply)
{
        const Secret *bearer = operation->upstream->proof ? operation->upstream->proof : request->secret;
        char id[CLOUDFLARE_ID_SIZE] = "";
        bool dead = false, not_found = false;
        int r = 0;

        if (!bearer || (!request->secret && !reply_is_id(request->secret_id)))
                return operation_fail(operation, FAULT_INVALID_PARAMETER,
                                      "Cloudflare deletes a token by its value, or by its id with another token.");
        if (request->secret)
                r = find_id(operation, request->secret, id, &dead);
        else
                (void)snprintf(id, sizeof(id), "%s", request->secret_id);
        if (dead)
                return revocation_confirm(operation, &revocation, request->secret, false, reply);
        if (r)
                return r;
        r = delete_token(operation, id, bearer, &not_found);
        if (r)
                return r;
        return request->secret ? revocation_confirm(operation, &revocation, request->secret, not_found, reply)
                               : confirm_by_id(operation, id, reply);
}

/* ---- abandon ---- */

static int read_page(Operation *operation, const char *name, unsigned number, CloudflarePage *ret)
{
        _cleanup_(https_response_deinit) HttpsResponse response = HTTPS_RESPONSE_NULL;
        char path[PATH_MAX_SIZE], rest[64];
        int r;

        (void)snprintf(rest, sizeof(rest), "?per_page=%u&page=%u", CLOUDFLARE_PAGE, number);
        r = send(operation, "GET", tokens_path(operation, rest, path), operation->upstream->proof, &response);
        if (r == 0)
                r = check(operation, &response);
        return r ? r : understood(operation, cloudflare_read_page(buf_slice(&response.body), name, ret), &response);
}

static int end_page(Operation *operation, const CloudflarePage *page, uint64_t *ended)
{
        bool not_found;
        int r = 0;

        for (size_t i = 0; r == 0 && i < page->n; i++) {
                r = delete_token(operation, page->ids[i], operation->upstream->proof, &not_found);
                *ended += r == 0;
        }
        return r;
}

/* What is deleted makes later pages move up, so a page that had something is read again. */
static int abandon(Operation *operation, const ProviderAbandonRequest *request, ProviderAbandonReply *reply)
{
        CloudflarePage page = { 0 };
        int r = 0;

        for (unsigned number = 1, rounds = 0; r == 0 && !(page.last && page.n == 0); rounds++) {
                if (rounds == PAGES_MAX)
                        return operation_fail(operation, FAULT_UPSTREAM_UNKNOWN,
                                              "There are more tokens at Cloudflare than could be looked through.");
                r = operation_only_read(operation, read_page(operation, request->label, number, &page));
                if (r == 0)
                        r = end_page(operation, &page, &reply->ended);
                number += page.n == 0;
        }
        return r;
}

const Provider provider_cloudflare = {
        .name = "cloudflare",
        .verify = verify,
        .rotate = rotate,
        .revoke_secret = revoke_secret,
        .abandon = abandon,
};
