#include "providers/github_reply.h"
#include "providers/revocation.h"
#include "base/wipe.h"
#include <stdio.h>

#define REPLY_MAX (1024U * 1024U)

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
                return "GitHub refuses the token: it is wrong, has expired, or was revoked";
        case FAULT_UPSTREAM_DENIED:
                return "GitHub denies this to the token";
        case FAULT_UPSTREAM_NO_TARGET:
                return "There is no API of GitHub's at this address";
        case FAULT_UPSTREAM_BAD_SCOPE:
                return "GitHub does not take this";
        case FAULT_UPSTREAM_RATE_LIMITED:
                return "GitHub's rate limit is reached";
        default:
                return "GitHub failed at this, or its answer makes no sense";
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
        Fault fault = github_classify(&response->head, buf_slice(&response->body), clock_wall(operation->clock),
                                      &operation->retry_after_usec);

        return fault == FAULT_NONE ? 0 : fail(operation, fault, response);
}

static int get_user(Operation *operation, const Secret *token, HttpsResponse *response)
{
        HttpsRequest request = {
                .method = "GET",
                .bearer = token,
                .headers = headers,
                .response_max = REPLY_MAX,
        };
        int r = operation_send(operation, &request, "/user", response);

        return r ? r : check(operation, response);
}

/* ---- verify ---- */

/* A fine-grained one has rights that GitHub does not tell, and no header of this name, or an empty one. */
static bool is_classic(const Secret *token, const ResponseHead *head)
{
        static const char fine[] = "github_pat_";
        Slice value = secret_slice(token);
        bool is_fine = value.size >= sizeof(fine) - 1 && memcmp(value.data, fine, sizeof(fine) - 1) == 0;

        return head->has_oauth_scopes && !is_fine;
}

static int verify(Operation *operation, ProviderVerifyReply *reply)
{
        _cleanup_(https_response_deinit) HttpsResponse response = HTTPS_RESPONSE_NULL;
        char login[REPLY_TEXT_MAX], text[REPLY_TEXT_MAX + 100];
        bool classic;
        int r = get_user(operation, operation->upstream->proof, &response);

        if (r)
                return r;
        if (github_read_user(buf_slice(&response.body), login))
                return fail(operation, FAULT_UPSTREAM_UNKNOWN, &response);
        classic = is_classic(operation->upstream->proof, &response.head);
        (void)snprintf(text, sizeof(text), "GitHub user %s, %s token", login, classic ? "classic" : "fine-grained");
        *reply = (ProviderVerifyReply){
                .checked = true,
                .rights_known = classic,
                .expires = response.head.token_expires_usec,
        };
        if (classic)
                r = error_fold(github_read_scopes(response.head.oauth_scopes, operation->pool, &reply->rights));
        return r ? r : pool_text(operation->pool, slice_text(text), &reply->identity);
}

/* ---- revoke_secret ---- */

static int probe(Operation *operation, const Secret *token)
{
        _cleanup_(https_response_deinit) HttpsResponse response = HTTPS_RESPONSE_NULL;

        return get_user(operation, token, &response);
}

/* GitHub takes the list, and goes through it afterwards. */
static const Revocation reported = { .upstream = "GitHub", .probe = probe, .deferred = true };
static const Revocation gone = { .upstream = "GitHub", .probe = probe };

/* {"credentials":["..."]}: in memory that is wiped, like all of jansson's. Without authentication, which is a must. */
static int report(Operation *operation, const Secret *token, HttpsResponse *response)
{
        Slice value = secret_slice(token);
        _cleanup_(json_freep) json_t *json = json_pack("{s:[s%]}", "credentials", (const char *)value.data, value.size);
        char *body = json ? json_dumps(json, JSON_COMPACT) : NULL;
        HttpsRequest request = {
                .method = "POST",
                .headers = headers_json,
                .body = slice_text(body),
                .response_max = REPLY_MAX,
        };
        int r = body ? operation_send(operation, &request, "/credentials/revoke", response) : -ENOMEM;

        wipe_free(body);
        return r;
}

static int reported_answer(Operation *operation, const HttpsResponse *response)
{
        switch (response->head.status) {
        case 404:
                return operation_fail(operation, FAULT_UNSUPPORTED,
                                      "This server takes no reports of credentials; delete the token in its settings.");
        case 422:
                return operation_fail(operation, FAULT_UPSTREAM_DENIED,
                                      "GitHub does not take this as a credential that it can revoke; delete the token in "
                                      "its settings.");
        default:
                return check(operation, response);
        }
}

/* A server of one's own has its API there. */
static bool is_enterprise_server(const Operation *operation)
{
        static const char path[] = "/api/v3";
        const char *url = operation_base_url(operation), *at = strstr(url, path);

        return at && (at[sizeof(path) - 1] == 0 || at[sizeof(path) - 1] == '/');
}

/* The look before costs nothing, and a report counts: there are sixty in an hour. */
static int revoke_secret(Operation *operation, const ProviderRevokeSecretRequest *request, ProviderRevokeReply *reply)
{
        _cleanup_(https_response_deinit) HttpsResponse response = HTTPS_RESPONSE_NULL;
        Life life;
        int r;

        if (!request->secret)
                return operation_fail(operation, FAULT_INVALID_PARAMETER, "GitHub revokes a token by its value alone.");
        if (is_enterprise_server(operation))
                return operation_fail(operation, FAULT_UNSUPPORTED,
                                      "A GitHub Enterprise Server takes no reports of credentials; delete the token in its "
                                      "settings.");
        r = revocation_life(operation, &gone, request->secret, &life);
        if (r < 0)
                return r;
        if (life == LIFE_DEAD)
                return revocation_confirm(operation, &gone, request->secret, false, reply);
        r = report(operation, request->secret, &response);
        if (r == 0)
                r = reported_answer(operation, &response);
        return r ? r : revocation_confirm(operation, &reported, request->secret, false, reply);
}

const Provider provider_github_pat = {
        .name = "github_pat",
        .verify = verify,
        .revoke_secret = revoke_secret,
};
