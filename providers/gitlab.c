#include "providers/gitlab_reply.h"
#include "providers/revocation.h"
#include "base/text.h"
#include "base/wipe.h"
#include <inttypes.h>
#include <stdio.h>

/* A project's description alone can have a megabyte on old servers. */
#define REPLY_MAX     (4U * 1024U * 1024U)
#define PATH_MAX_SIZE 1024U
#define DAY           (24 * 3600 * USEC_PER_SEC)
/* The longest that GitLab lets a token live, and what one gets that had no end before. */
#define LIFETIME_DAYS_MAX 365U
/* A token lives until midnight UTC; one of which less than this is left would be of no use. */
#define MINT_LIFETIME_MIN (3600 * USEC_PER_SEC)
/* "2026-01-31" */
#define DATE_SIZE 11U

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
                return "GitLab refuses the token: it is wrong, has expired, or was revoked";
        case FAULT_UPSTREAM_DENIED:
                return "GitLab denies this to the token; it needs the scope api, and in the project at least the role "
                       "that is asked for and Maintainer";
        case FAULT_UPSTREAM_NO_TARGET:
                return "GitLab has no such project, or the token cannot see it";
        case FAULT_UPSTREAM_BAD_SCOPE:
                return "GitLab does not take these scopes";
        case FAULT_UPSTREAM_RATE_LIMITED:
                return "GitLab's rate limit is reached";
        default:
                return "GitLab failed at this, or its answer makes no sense";
        }
}

static int fail_because(Operation *operation, Fault fault, const char *what, const HttpsResponse *response)
{
        char message[REPLY_TEXT_MAX];

        reply_message(buf_slice(&response->body), message);
        return operation_fail(operation, fault, "%s (status %u%s%s).", what, response->head.status,
                              *message ? ": " : "", message);
}

static int fail(Operation *operation, Fault fault, const HttpsResponse *response)
{
        return fail_because(operation, fault, meaning(fault), response);
}

static int check(Operation *operation, const HttpsResponse *response)
{
        Fault fault = reply_classify(&response->head, clock_wall(operation->clock), &operation->retry_after_usec);

        return fault == FAULT_NONE ? 0 : fail(operation, fault, response);
}

static int get(Operation *operation, const char *path, const Secret *bearer, HttpsResponse *response)
{
        HttpsRequest request = {
                .method = "GET",
                .bearer = bearer,
                .headers = headers,
                .response_max = REPLY_MAX,
        };
        int r = operation_send(operation, &request, path, response);

        return r ? r : check(operation, response);
}

static int post(Operation *operation, const char *path, json_t *json, HttpsResponse *response)
{
        char *body = json ? json_dumps(json, JSON_COMPACT) : NULL;
        HttpsRequest request = {
                .method = "POST",
                .bearer = operation->upstream->proof,
                .headers = headers_json,
                .body = slice_text(body),
                .response_max = REPLY_MAX,
        };
        int r = body ? operation_send(operation, &request, path, response) : -ENOMEM;

        wipe_free(body);
        return r;
}

/* What a reader says of a reply that was a success. */
static int understood(Operation *operation, int r, const HttpsResponse *response)
{
        return r == REPLY_E_SENSELESS ? fail(operation, FAULT_UPSTREAM_UNKNOWN, response) : error_fold(r);
}

static void date(uint64_t wall_usec, char out[DATE_SIZE])
{
        char whole[TEXT_TIME_SIZE];

        text_time(wall_usec, whole);
        (void)snprintf(out, DATE_SIZE, "%.10s", whole);
}

static int text_of_id(Operation *operation, uint64_t id, const char **ret)
{
        char text[24];

        (void)snprintf(text, sizeof(text), "%" PRIu64, id);
        return pool_text(operation->pool, slice_text(text), ret);
}

/* ---- the token itself ---- */

static int get_self(Operation *operation, GitlabToken *ret)
{
        _cleanup_(https_response_deinit) HttpsResponse response = HTTPS_RESPONSE_NULL;
        int r = get(operation, "/personal_access_tokens/self", operation->upstream->proof, &response);

        return r ? r : understood(operation, gitlab_read_token(buf_slice(&response.body), NULL, operation->pool, ret),
                                  &response);
}

static bool has_scope(const GitlabToken *token, const char *scope)
{
        for (size_t i = 0; i < token->scopes.n; i++)
                if (strcmp(token->scopes.items[i], scope) == 0)
                        return true;
        return false;
}

static int verify(Operation *operation, ProviderVerifyReply *reply)
{
        GitlabToken token = { 0 };
        char text[REPLY_TEXT_MAX + 200];
        int r = get_self(operation, &token);

        if (r)
                return r;
        (void)snprintf(text, sizeof(text), "GitLab token %s (%" PRIu64 ")%s", token.name, token.id,
                       has_scope(&token, "api")             ? ""
                       : has_scope(&token, "self_rotate") ? ", without the scope api: nothing can be minted of it"
                                                          : ", without the scopes api and self_rotate: it can neither be "
                                                            "minted from nor rotated");
        *reply = (ProviderVerifyReply){
                .checked = true,
                .rights_known = true,
                .rights = token.scopes,
                .expires = token.expires,
        };
        r = text_of_id(operation, token.id, &reply->secret_id);
        return r ? r : pool_text(operation->pool, slice_text(text), &reply->identity);
}

/* ---- mint ---- */

/* "group/sub/name" as one segment of a path; its characters have been checked. */
static int project_path(const char *name, char out[PATH_MAX_SIZE])
{
        size_t n = (size_t)snprintf(out, PATH_MAX_SIZE, "/projects/");

        for (; *name; name++) {
                if (n + 4 > PATH_MAX_SIZE)
                        return -ENOTRECOVERABLE;
                n += (size_t)snprintf(out + n, PATH_MAX_SIZE - n, *name == '/' ? "%%2F" : "%c", *name);
        }
        return 0;
}

/*
 * By its number, so that what is made afterwards is of the project that was looked at: a path may lead to another
 * one after a move.
 */
static int find_project(Operation *operation, const char *name, GitlabProject *ret)
{
        _cleanup_(https_response_deinit) HttpsResponse response = HTTPS_RESPONSE_NULL;
        char path[PATH_MAX_SIZE];
        int r = project_path(name, path);

        if (r == 0)
                r = get(operation, path, operation->upstream->proof, &response);
        if (r == 0)
                r = understood(operation, gitlab_read_project(buf_slice(&response.body), operation->pool, ret),
                               &response);
        return r;
}

static int append_scopes(json_t *list, const TextMap *permissions)
{
        for (size_t i = 0; i < permissions->n; i++) {
                const char *const *scope = gitlab_scopes(permissions->items[i].key, permissions->items[i].value);

                if (!scope)
                        return FAULT_UPSTREAM_BAD_SCOPE;
                for (; *scope; scope++)
                        if (json_array_append_new(list, json_string(*scope)) < 0)
                                return -ENOMEM;
        }
        return 0;
}

/* The first midnight that leaves it long enough to be of use: dates are all that GitLab knows. */
static uint64_t mint_expires(const Operation *operation)
{
        return ((clock_wall(operation->clock) + MINT_LIFETIME_MIN) / DAY + 1) * DAY;
}

/* The role is always said, since what GitLab takes where none is said is a Maintainer's. */
static int mint_body(Operation *operation, const ProviderMintRequest *request, json_t **ret)
{
        _cleanup_(json_freep) json_t *scopes = json_array();
        char expires[DATE_SIZE];
        int r = append_scopes(scopes, &request->scope->permissions);

        if (r > 0)
                return operation_fail(operation, (Fault)r, "GitLab has no scope for one of these permissions.");
        if (r < 0)
                return r;
        date(mint_expires(operation), expires);
        *ret = json_pack("{s:s,s:O,s:I,s:s,s:s}", "name", request->label, "scopes", scopes, "access_level",
                         (json_int_t)gitlab_access_level(&request->scope->permissions), "expires_at", expires,
                         "description", "short-lived, made by mcpcred");
        return *ret ? 0 : -ENOMEM;
}

/* The project is what GitLab said it is; the path below its number leads to no other. */
static int granted(Operation *operation, const ProviderMintRequest *request, const GitlabProject *project,
                   const GitlabToken *token, ProviderMintReply *reply)
{
        uint64_t asked = gitlab_access_level(&request->scope->permissions);
        void *scope, *items;
        int r = pool_alloc(operation->pool, sizeof(Scope), &scope);

        if (r == 0)
                r = pool_alloc(operation->pool, sizeof(char *), &items);
        if (r)
                return r;
        reply->granted = scope;
        reply->granted->repositories = (TextList){ .items = items, .n = 1 };
        reply->granted->repositories.items[0] = project->path;
        return error_fold(gitlab_permissions(token, asked, operation->pool, &reply->granted->permissions));
}

static int read_mint(Operation *operation, const ProviderMintRequest *request, const GitlabProject *project,
                     const HttpsResponse *response, ProviderMintReply *reply)
{
        GitlabToken token = { 0 };
        char id[64];
        int r = gitlab_read_token(buf_slice(&response->body), operation->arena, operation->pool, &token);

        r = understood(operation, r, response);
        if (r)
                return r;
        (void)snprintf(id, sizeof(id), "%" PRIu64 ":%" PRIu64, project->id, token.id);
        r = granted(operation, request, project, &token, reply);
        if (r == 0)
                r = pool_text(operation->pool, slice_text(id), &reply->upstream_id);
        reply->expires = token.expires > 0 ? token.expires : mint_expires(operation);
        if (r == 0)
                reply->token = take_ptr(token.value);
        secret_free(token.value);
        return r;
}

static int mint(Operation *operation, const ProviderMintRequest *request, ProviderMintReply *reply)
{
        _cleanup_(https_response_deinit) HttpsResponse response = HTTPS_RESPONSE_NULL;
        _cleanup_(json_freep) json_t *body = NULL;
        GitlabProject project = { 0 };
        char path[PATH_MAX_SIZE];
        int r = mint_body(operation, request, &body);

        if (r == 0)
                r = operation_only_read(operation, find_project(operation, request->scope->repositories.items[0],
                                                                &project));
        if (r)
                return r;
        (void)snprintf(path, sizeof(path), "/projects/%" PRIu64 "/access_tokens", project.id);
        r = post(operation, path, body, &response);
        if (r == 0)
                r = check(operation, &response);
        return r ? r : read_mint(operation, request, &project, &response, reply);
}

/* ---- revoke ---- */

static int probe(Operation *operation, const Secret *token)
{
        _cleanup_(https_response_deinit) HttpsResponse response = HTTPS_RESPONSE_NULL;

        return get(operation, "/personal_access_tokens/self", token, &response);
}

static const Revocation revocation = { .upstream = "GitLab", .probe = probe };

/* Any token may end itself, whatever its scopes; one that is dead is answered with 401. */
static int delete_self(Operation *operation, const Secret *token, ProviderRevokeReply *reply)
{
        _cleanup_(https_response_deinit) HttpsResponse response = HTTPS_RESPONSE_NULL;
        HttpsRequest request = {
                .method = "DELETE",
                .bearer = token,
                .headers = headers,
                .response_max = REPLY_MAX,
        };
        unsigned status;
        int r;

        if (!token)
                return operation_fail(operation, FAULT_INVALID_PARAMETER,
                                      "GitLab is asked to revoke a token by its value alone.");
        r = operation_send(operation, &request, "/personal_access_tokens/self", &response);
        if (r)
                return r;
        status = response.head.status;
        if (status == 204 || status == 401 || status == 404)
                return revocation_confirm(operation, &revocation, token, status == 404, reply);
        r = check(operation, &response);
        return r ? r : fail(operation, FAULT_UPSTREAM_UNKNOWN, &response);
}

static int revoke(Operation *operation, const ProviderRevokeRequest *request, ProviderRevokeReply *reply)
{
        return delete_self(operation, request->token, reply);
}

static int revoke_secret(Operation *operation, const ProviderRevokeSecretRequest *request, ProviderRevokeReply *reply)
{
        return delete_self(operation, request->secret, reply);
}

/* ---- rotate ---- */

/* As long as the old one had from its beginning to its end. */
static uint64_t lifetime_days(const GitlabToken *old)
{
        if (old->expires == 0 || old->created == 0 || old->expires <= old->created)
                return LIFETIME_DAYS_MAX;
        return MIN(MAX((old->expires - old->created / DAY * DAY) / DAY, 1), LIFETIME_DAYS_MAX);
}

/*
 * The old token dies with the answer, whether or not that arrives; and one that is dead and asked to rotate takes
 * its successors with it. So this is asked once, and everything that is not a plain refusal is UNKNOWN.
 */
static int ask_rotate(Operation *operation, uint64_t days, HttpsResponse *response)
{
        _cleanup_(json_freep) json_t *body = NULL;
        char expires[DATE_SIZE];
        int r;

        date(clock_wall(operation->clock) + days * DAY, expires);
        body = json_pack("{s:s}", "expires_at", expires);
        r = post(operation, "/personal_access_tokens/self/rotate", body, response);
        if (r)
                return r;
        switch (response->head.status) {
        case 400:
                return fail_because(operation, FAULT_UPSTREAM_DENIED, "GitLab did not rotate the token", response);
        case 403:
                return fail_because(operation, FAULT_UPSTREAM_DENIED,
                                    "GitLab lets a token rotate itself that has the scope api or self_rotate", response);
        case 404:
        case 405:
                return fail_because(operation, FAULT_UNSUPPORTED, "This GitLab, or this kind of token, has no rotation",
                                    response);
        default:
                return check(operation, response);
        }
}

static int rotate(Operation *operation, UNUSED const ProviderRotateRequest *request, ProviderRotateReply *reply)
{
        _cleanup_(https_response_deinit) HttpsResponse response = HTTPS_RESPONSE_NULL;
        GitlabToken old = { 0 }, made = { 0 };
        int r = operation_only_read(operation, get_self(operation, &old));

        if (r == 0)
                r = text_of_id(operation, old.id, &reply->old_secret_id);
        if (r == 0)
                r = ask_rotate(operation, lifetime_days(&old), &response);
        if (r)
                return r;
        r = gitlab_read_token(buf_slice(&response.body), operation->arena, operation->pool, &made);
        r = understood(operation, r, &response);
        if (r == 0)
                r = text_of_id(operation, made.id, &reply->secret_id);
        reply->expires = made.expires;
        if (r == 0)
                reply->secret = take_ptr(made.value);
        secret_free(made.value);
        return r;
}

const Provider provider_gitlab = {
        .name = "gitlab",
        .verify = verify,
        .mint = mint,
        .revoke = revoke,
        .rotate = rotate,
        .revoke_secret = revoke_secret,
};
