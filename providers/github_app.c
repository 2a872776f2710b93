#include "providers/github_reply.h"
#include "providers/revocation.h"
#include "base/wipe.h"
#include <inttypes.h>
#include <stdio.h>

/* A narrowed token's reply describes each repository in about 6 KB, and names up to 500. */
#define MINT_REPLY_MAX (8U * 1024U * 1024U)
#define REPLY_MAX      (1024U * 1024U)
#define PATH_MAX_SIZE  128U

static const char *const headers[] = {
        "Accept: application/vnd.github+json",
        "X-GitHub-Api-Version: 2022-11-28",
        NULL,
};
static const char *const headers_json[] = {
        "Accept: application/vnd.github+json",
        "X-GitHub-Api-Version: 2022-11-28",
        "Content-Type: application/json",
        NULL,
};

static const char *meaning(Fault fault)
{
        switch (fault) {
        case FAULT_UPSTREAM_ROOT_INVALID:
                return "GitHub refuses the App's key or ID (or this machine's clock is wrong)";
        case FAULT_UPSTREAM_DENIED:
                return "GitHub denies this to the App";
        case FAULT_UPSTREAM_NO_TARGET:
                return "GitHub knows no such installation for this App";
        case FAULT_UPSTREAM_BAD_SCOPE:
                return "GitHub does not give these repositories and permissions to this "
                       "installation";
        case FAULT_UPSTREAM_RATE_LIMITED:
                return "GitHub's rate limit for the App is reached";
        default:
                return "GitHub failed at this, or its answer makes no sense";
        }
}

static int fail(Operation *operation, Fault fault, const HttpsResponse *response)
{
        char message[REPLY_TEXT_MAX];

        reply_message(buf_slice(&response->body), message);
        return operation_fail(operation, fault, "%s (status %u%s%s).", meaning(fault),
                              response->head.status, *message ? ": " : "", message);
}

/* Turns a response that is no success into a fault. */
static int check(Operation *operation, const HttpsResponse *response)
{
        Fault fault = github_classify(&response->head, buf_slice(&response->body),
                                      clock_wall(operation->clock), &operation->retry_after_usec);

        return fault == FAULT_NONE ? 0 : fail(operation, fault, response);
}

/* Something to which no answer but a JSON object is a success. */
static int get(Operation *operation, const char *path, const Secret *bearer,
               HttpsResponse *response)
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

/* ---- verify ---- */

static bool is_our_app(const Operation *operation, const GithubApp *app)
{
        const char *wanted = operation_parameter(operation, "app_id");
        char id[24];

        snprintf(id, sizeof(id), "%" PRIu64, app->id);
        return strcmp(wanted, id) == 0 || strcmp(wanted, app->client_id) == 0;
}

static int verify_app(Operation *operation, GithubApp *ret)
{
        _cleanup_(https_response_deinit) HttpsResponse response = HTTPS_RESPONSE_NULL;
        int r = get(operation, "/app", operation->upstream->proof, &response);

        if (r)
                return r;
        if (github_read_app(buf_slice(&response.body), ret))
                return fail(operation, FAULT_UPSTREAM_UNKNOWN, &response);
        if (!is_our_app(operation, ret))
                return operation_fail(operation, FAULT_UPSTREAM_ROOT_INVALID,
                                      "The key is that of another App, %s (%" PRIu64 ").",
                                      ret->name, ret->id);
        return 0;
}

static int verify_installation(Operation *operation, GithubInstallation *ret)
{
        _cleanup_(https_response_deinit) HttpsResponse response = HTTPS_RESPONSE_NULL;
        char path[PATH_MAX_SIZE];
        int r;

        snprintf(path, sizeof(path), "/app/installations/%s",
                 operation_parameter(operation, "installation_id"));
        r = get(operation, path, operation->upstream->proof, &response);
        if (r)
                return r;
        return github_read_installation(buf_slice(&response.body), ret)
                       ? fail(operation, FAULT_UPSTREAM_UNKNOWN, &response)
                       : 0;
}

/* Both of what was given, since a wrong installation is as common a mistake as a wrong key. */
static int verify(Operation *operation, ProviderVerifyReply *reply)
{
        GithubInstallation installation = { 0 };
        GithubApp app = { 0 };
        char text[2 * REPLY_TEXT_MAX + 100];
        int r;

        r = verify_app(operation, &app);
        if (r == 0)
                r = verify_installation(operation, &installation);
        if (r)
                return r;
        snprintf(text, sizeof(text), "GitHub App %s (%" PRIu64 "), installed on %s%s", app.name,
                 app.id, installation.account, installation.suspended ? ", suspended" : "");
        reply->checked = true;
        return pool_text(operation->pool, slice_text(text), &reply->identity);
}

/* ---- mint ---- */

/* {"repositories":["hello"],"permissions":{"contents":"read"}}, with the names short. */
static json_t *mint_body(const Scope *scope)
{
        json_t *repositories = json_array(), *permissions = json_object();
        bool ok = true;

        for (size_t i = 0; i < scope->repositories.n; i++) {
                const char *name = strchr(scope->repositories.items[i], '/') + 1;

                ok = ok && json_array_append_new(repositories, json_string(name)) == 0;
        }
        for (size_t i = 0; i < scope->permissions.n; i++)
                ok = ok && json_object_set_new(permissions, scope->permissions.items[i].key,
                                               json_string(scope->permissions.items[i].value)) == 0;
        if (!ok) {
                json_decref(repositories);
                json_decref(permissions);
                return NULL;
        }
        return json_pack("{s:o,s:o}", "repositories", repositories, "permissions", permissions);
}

static int read_mint(Operation *operation, const HttpsResponse *response, ProviderMintReply *reply)
{
        int r = check(operation, response);

        if (r)
                return r;
        r = github_read_mint(buf_slice(&response->body), operation->arena, operation->pool, reply);
        return r == REPLY_E_SENSELESS ? fail(operation, FAULT_UPSTREAM_UNKNOWN, response)
                                       : error_fold(r);
}

static int mint(Operation *operation, const ProviderMintRequest *request, ProviderMintReply *reply)
{
        _cleanup_(https_response_deinit) HttpsResponse response = HTTPS_RESPONSE_NULL;
        _cleanup_(json_freep) json_t *json = mint_body(request->scope);
        char path[PATH_MAX_SIZE], *body = json ? json_dumps(json, JSON_COMPACT) : NULL;
        HttpsRequest post = {
                .method = "POST",
                .bearer = operation->upstream->proof,
                .headers = headers_json,
                .body = slice_text(body),
                .response_max = MINT_REPLY_MAX,
        };
        int r;

        if (!body)
                return -ENOMEM;
        snprintf(path, sizeof(path), "/app/installations/%s/access_tokens",
                 operation_parameter(operation, "installation_id"));
        r = operation_send(operation, &post, path, &response);
        wipe_free(body);
        return r ? r : read_mint(operation, &response, reply);
}

/* ---- revoke ---- */

/* Asks something harmless with the token. */
static int probe(Operation *operation, const Secret *token)
{
        _cleanup_(https_response_deinit) HttpsResponse response = HTTPS_RESPONSE_NULL;

        return get(operation, "/installation/repositories?per_page=1", token, &response);
}

static const Revocation revocation = { .upstream = "GitHub", .probe = probe };

/* 0: there it is revoked, or was; GitHub answers 401 for the latter. */
static int delete_token(Operation *operation, const Secret *token, bool *ret_not_found)
{
        _cleanup_(https_response_deinit) HttpsResponse response = HTTPS_RESPONSE_NULL;
        HttpsRequest request = {
                .method = "DELETE",
                .bearer = token,
                .headers = headers,
                .response_max = REPLY_MAX,
        };
        int r = operation_send(operation, &request, "/installation/token", &response);

        if (r)
                return r;
        *ret_not_found = response.head.status == 404;
        if (response.head.status == 204 || response.head.status == 401 ||
            response.head.status == 404)
                return 0;
        r = check(operation, &response);
        return r ? r : fail(operation, FAULT_UPSTREAM_UNKNOWN, &response);
}

static int revoke(Operation *operation, const ProviderRevokeRequest *request,
                  ProviderRevokeReply *reply)
{
        bool not_found = false;
        int r;

        if (!request->token)
                return operation_fail(operation, FAULT_INVALID_PARAMETER,
                                      "GitHub revokes a token by its value alone.");
        r = delete_token(operation, request->token, &not_found);
        return r ? r : revocation_confirm(operation, &revocation, request->token, not_found, reply);
}

const Provider provider_github_app = {
        .name = "github_app",
        .verify = verify,
        .mint = mint,
        .revoke = revoke,
};
