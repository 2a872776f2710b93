#include "providers/github_reply.h"
#include "providers/provider.h"
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

/* ---- revoke_secrets ---- */

/* Whether a reported token is refused is asked so often, with a pause that doubles: GitHub goes through the list later. */
#define PROBES      5U
#define PROBE_PAUSE (250 * USEC_PER_MSEC)

typedef struct Reported {
        Operation *operation;
        const ProviderSecretValue *values;
        ProviderSecretEnd *ends;
        size_t n;
        uint64_t calls, calls_max;
} Reported;

/* Of a token that does not live, nothing more is to be asked, and of one that nobody knows nothing can be. */
static int look(Operation *operation, const Secret *token, bool *ret_dead, bool *ret_alive)
{
        _cleanup_(https_response_deinit) HttpsResponse response = HTTPS_RESPONSE_NULL;
        int r = get_user(operation, token, &response);

        if (r < 0)
                return r;
        operation->retry_after_usec = 0;
        *ret_dead = r == FAULT_UPSTREAM_ROOT_INVALID;
        *ret_alive = r == 0;
        return 0;
}

/* One refusal may be a stray one, so there have to be two. */
static int look_twice(Operation *operation, const Secret *token, bool *ret_dead)
{
        bool alive;
        int r = look(operation, token, ret_dead, &alive);

        return r == 0 && *ret_dead ? look(operation, token, ret_dead, &alive) : r;
}

/*
 * A look costs nothing, and a report counts. What there is no time to look at is reported: the second half of the time
 * is for the report and what comes of it.
 */
static int look_before(Reported *reported)
{
        Operation *operation = reported->operation;
        uint64_t deadline = operation->deadline_usec, half = operation_time_left(operation) / 2;
        int r = 0;

        operation->deadline_usec -= half;
        for (size_t i = 0; r == 0 && i < reported->n && operation_time_left(operation) > 0; i++) {
                bool dead;

                r = look_twice(operation, reported->values[i].secret, &dead);
                if (r == 0 && dead)
                        reported->ends[i].end = PROVIDER_END_DEAD;
        }
        operation->deadline_usec = deadline;
        return r;
}

/* {"credentials":["...", ...]}: in memory that is wiped, like all of jansson's. NULL: there is none, or no memory. */
static char *list(const Reported *reported, size_t from, size_t to, size_t *ret_n)
{
        _cleanup_(json_freep) json_t *json = json_object();
        json_t *values = json_array();

        *ret_n = 0;
        if (!json || json_object_set_new(json, "credentials", values) < 0)
                return NULL;
        for (size_t i = from; i < to; i++) {
                Slice value = secret_slice(reported->values[i].secret);

                if (reported->ends[i].end != PROVIDER_END_OPEN)
                        continue;
                if (json_array_append_new(values, json_stringn((const char *)value.data, value.size)) < 0)
                        return NULL;
                ++*ret_n;
        }
        return *ret_n > 0 ? json_dumps(json, JSON_COMPACT) : NULL;
}

/* Without authentication, which is a must. */
static int send_list(Operation *operation, const char *body, HttpsResponse *response)
{
        HttpsRequest request = {
                .method = "POST",
                .headers = headers_json,
                .body = slice_text(body),
                .response_max = REPLY_MAX,
        };
        int r = operation_send(operation, &request, "/credentials/revoke", response);

        if (r)
                return r;
        if (response->head.status == 404)
                return operation_fail(operation, FAULT_UNSUPPORTED,
                                      "This server takes no reports of credentials; delete the token in its settings.");
        return response->head.status == 422 ? 0 : check(operation, response);
}

static void set_open(Reported *reported, size_t from, size_t to, ProviderEnd end)
{
        for (size_t i = from; i < to; i++)
                if (reported->ends[i].end == PROVIDER_END_OPEN)
                        reported->ends[i].end = end;
}

/* A list is taken whole or not at all. Of one that is not, the halves are tried, as far as calls are left. */
static int report(Reported *reported, size_t from, size_t to)
{
        _cleanup_(https_response_deinit) HttpsResponse response = HTTPS_RESPONSE_NULL;
        size_t n, middle = from + (to - from) / 2;
        char *body = list(reported, from, to, &n);
        int r;

        if (!body)
                return n > 0 ? -ENOMEM : 0;
        if (reported->calls == reported->calls_max) {
                wipe_free(body);
                return 0;
        }
        reported->calls++;
        r = send_list(reported->operation, body, &response);
        wipe_free(body);
        if (r)
                return r;
        if (response.head.status != 422 || n == 1) {
                set_open(reported, from, to, response.head.status == 422 ? PROVIDER_END_REFUSED : PROVIDER_END_TAKEN);
                return 0;
        }
        r = report(reported, from, middle);
        return r ? r : report(reported, middle, to);
}

/* Once more after a pause for those that live: they are done later. */
static int look_behind(Reported *reported)
{
        uint64_t pause = PROBE_PAUSE;
        bool any = true;

        for (unsigned times = 0; any && times < PROBES; times++, pause *= 2) {
                if (times > 0 && !operation_sleep(reported->operation, pause))
                        return 0;
                any = false;
                for (size_t i = 0; i < reported->n; i++) {
                        bool dead, alive;
                        int r;

                        if (reported->ends[i].end != PROVIDER_END_TAKEN)
                                continue;
                        r = look(reported->operation, reported->values[i].secret, &dead, &alive);
                        if (r < 0)
                                return r;
                        if (dead)
                                reported->ends[i].end = PROVIDER_END_DEAD;
                        any = any || alive;
                }
        }
        return 0;
}

/* A server of one's own has its API there. */
static bool is_enterprise_server(const Operation *operation)
{
        static const char path[] = "/api/v3";
        const char *url = operation_base_url(operation), *at = strstr(url, path);

        return at && (at[sizeof(path) - 1] == 0 || at[sizeof(path) - 1] == '/');
}

static int revoke_secrets(Operation *operation, const ProviderRevokeSecretsRequest *request,
                          ProviderRevokeSecretsReply *reply)
{
        Reported reported = {
                .operation = operation,
                .values = request->secrets.items,
                .ends = reply->ends.items,
                .n = request->secrets.n,
                .calls_max = request->calls_max,
        };
        int r;

        if (is_enterprise_server(operation))
                return operation_fail(operation, FAULT_UNSUPPORTED,
                                      "A GitHub Enterprise Server takes no reports of credentials; delete the token in its "
                                      "settings.");
        r = look_before(&reported);
        if (r == 0)
                r = report(&reported, 0, reported.n);
        if (r == 0)
                r = look_behind(&reported);
        reply->calls = reported.calls;
        return r;
}

const Provider provider_github_pat = {
        .name = "github_pat",
        .verify = verify,
        .revoke_secrets = revoke_secrets,
};
