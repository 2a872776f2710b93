#include "client.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include <sodium.h>

static const Schema *reply_of(BrokerMethod method)
{
        return interface_broker.methods[method].reply;
}

/* A call whose reply is one row. */
static int call_for_row(mcpcred *client, Call call, mcpcred_row_fn row, void *userdata)
{
        RowTarget target = { .schema = reply_of((BrokerMethod)call.method),
                             .row = row,
                             .userdata = userdata };

        call.reply = row_target_whole;
        call.userdata = &target;
        return call_run(client, &call);
}

/* ---- secrets ---- */

static int keep_removal(mcpcred *client UNUSED, void *body, Pool *pool UNUSED, bool more UNUSED,
                        void *userdata)
{
        const RemoveSecretReply *reply = body;
        mcpcred_ended *ended = userdata;

        *ended = (mcpcred_ended){ .sessions = reply->sessions, .leases = reply->leases };
        return 0;
}

int mcpcred_secret_remove(mcpcred *client, const char *name, int dry_run, mcpcred_ended *ret)
{
        const RemoveSecretRequest request = { .name = name, .dry_run = dry_run != 0 };
        mcpcred_ended ended = { 0 };
        const Call call = { CALL(BROKER_REMOVE_SECRET), .request = &request, .reply = keep_removal,
                            .userdata = &ended };
        int r = call_run(client, &call);

        if (r == 0 && ret)
                *ret = ended;
        return r;
}

int mcpcred_secret_rotate(mcpcred *client, const char *name, mcpcred_rotation rotation,
                          const mcpcred_rotation_options *options, const mcpcred_value *value,
                          mcpcred_row_fn row, void *userdata)
{
        RotateRequest request = { .name = name,
                                  .plan = rotation == MCPCRED_ROTATION_PLAN,
                                  .abort = rotation == MCPCRED_ROTATION_ABORT };
        Call call = { CALL(BROKER_ROTATE), .request = &request };
        _cleanup_(fd_closep) int fd = -1;
        int r;

        client_clear_error(client);
        if (rotation != MCPCRED_ROTATION_RUN && (value || options))
                return client_fail(client, MCPCRED_E_MISUSE,
                                   "A plan and an abort take neither value nor options.");
        if (options) {
                request.now = options->now != 0;
                request.grace = options->grace;
                request.allow_wider = options->allow_wider != 0;
        }
        if (value) {
                r = value_socket(client, value, &fd);
                if (r)
                        return r;
        }
        call.request_fd = fd;
        return call_for_row(client, call, row, userdata);
}

/* ---- revocation ---- */

struct mcpcred_selector {
        Pool pool;
        RevokeRequest body;
        bool selects;
        int failed;
};

/* Seven texts at most. */
#define SELECTOR_POOL_MAX 4096U

int mcpcred_selector_new(mcpcred_selector **ret)
{
        mcpcred_selector *selector = calloc(1, sizeof(*selector));

        if (!selector)
                return MCPCRED_E_NO_MEMORY;
        selector->pool = POOL_NULL(SELECTOR_POOL_MAX);
        *ret = selector;
        return MCPCRED_OK;
}

mcpcred_selector *mcpcred_selector_free(mcpcred_selector *selector)
{
        if (selector) {
                pool_deinit(&selector->pool);
                free(selector);
        }
        return NULL;
}

static const char **selector_text(mcpcred_selector *selector, mcpcred_select what)
{
        switch (what) {
        case MCPCRED_SELECT_SESSION:
                return &selector->body.session;
        case MCPCRED_SELECT_PROFILE:
                return &selector->body.profile;
        case MCPCRED_SELECT_SECRET:
                return &selector->body.secret;
        case MCPCRED_SELECT_TOKEN_HASH:
                return &selector->body.token_hash;
        case MCPCRED_SELECT_PROVIDER:
                return &selector->body.provider;
        case MCPCRED_SELECT_PRINCIPAL:
                return &selector->body.principal;
        default:
                return NULL;
        }
}

/* A moment, or how long ago it was. */
static int selector_since(mcpcred_selector *selector, const char *text)
{
        uint64_t ago, now = clock_wall(&clock_system);

        if (!text)
                return MCPCRED_E_MISUSE;
        if (text_parse_duration(text, &ago) == 0)
                selector->body.since = ago < now ? now - ago : 1;
        else if (text_parse_time(text, &selector->body.since) != 0 || selector->body.since == 0)
                return MCPCRED_E_MISUSE;
        selector->selects = true;
        return MCPCRED_OK;
}

int mcpcred_selector_set(mcpcred_selector *selector, mcpcred_select what, const char *text)
{
        uint64_t uid;
        const char **at = selector_text(selector, what);

        if (what == MCPCRED_SELECT_ALL && !text) {
                selector->body.all = selector->selects = true;
                return MCPCRED_OK;
        }
        if (what == MCPCRED_SELECT_SINCE && selector_since(selector, text) == MCPCRED_OK)
                return MCPCRED_OK;
        if (!at || !text || !*text || (what == MCPCRED_SELECT_PRINCIPAL && text_parse_u64(text, &uid) != 0))
                /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a NULL handle is a mistake of the caller that cannot be mended */
                return selector->failed = MCPCRED_E_MISUSE;
        if (pool_text(&selector->pool, slice_text(text), at) < 0)
                return selector->failed = MCPCRED_E_NO_MEMORY;
        selector->selects = true;
        return MCPCRED_OK;
}

int mcpcred_selector_token(mcpcred_selector *selector, const mcpcred_value *token)
{
        uint8_t hash[crypto_hash_sha256_BYTES];
        char hex[2 * sizeof(hash) + 1];

        if (mcpcred_value_size(token) == 0)
                return selector->failed = MCPCRED_E_MISUSE;
        (void)crypto_hash_sha256(hash, mcpcred_value_data(token), mcpcred_value_size(token));
        text_hex(slice(hash, sizeof(hash)), hex);
        return mcpcred_selector_set(selector, MCPCRED_SELECT_TOKEN_HASH, hex);
}

int mcpcred_revoke(mcpcred *client, const mcpcred_selector *selector, int dry_run,
                   mcpcred_row_fn row, void *userdata, mcpcred_ended *ret)
{
        RevokeRequest request = selector->body;
        RowTarget target = { .row = row, .userdata = userdata };
        const Call call = { CALL(BROKER_REVOKE), .request = &request, .reply = row_target_ended,
                            .userdata = &target };
        int r;

        client_clear_error(client);
        if (selector->failed || !selector->selects)
                return client_fail(client, MCPCRED_E_MISUSE,
                                   "Nothing is selected, or a selector is empty.");
        request.dry_run = dry_run != 0;
        r = call_run(client, &call);
        if (r == 0 && ret)
                *ret = target.ended;
        return r;
}

/* ---- what there is ---- */

int mcpcred_list_rows(mcpcred *client, mcpcred_list what, int all, mcpcred_row_fn row,
                      void *userdata)
{
        static const struct {
                BrokerMethod method;
                const Schema *row;
        } lists[] = {
                [MCPCRED_LIST_SECRETS] = { BROKER_LIST_SECRETS, &schema_secret_row },
                [MCPCRED_LIST_SESSIONS] = { BROKER_LIST_SESSIONS, &schema_session_row },
                [MCPCRED_LIST_LEASES] = { BROKER_LIST_LEASES, &schema_lease_row },
                [MCPCRED_LIST_PROFILES] = { BROKER_LIST_PROFILES, &schema_profile_row },
                [MCPCRED_LIST_CHECKS] = { BROKER_DOCTOR, &schema_doctor_row },
                [MCPCRED_LIST_INCIDENTS] = { BROKER_LIST_INCIDENTS, &schema_incident_row },
        };
        const ListRequest list_request = { .all = all != 0 };
        const ListLeasesRequest leases_request = { .all = all != 0 };
        const StatusRequest status_request = { 0 };
        RowTarget target = { .row = row, .userdata = userdata };
        Call call = { .interface = &interface_broker,
                      .request_fd = -1,
                      .reads_only = true,
                      .reply = row_target_list,
                      .userdata = &target };

        client_clear_error(client);
        if ((size_t)what >= ARRAY_SIZE(lists))
                return client_fail(client, MCPCRED_E_MISUSE, "There is no such list.");
        call.method = lists[what].method;
        call.request = what == MCPCRED_LIST_CHECKS   ? (const void *)&status_request
                       : what == MCPCRED_LIST_LEASES ? (const void *)&leases_request
                                                     : &list_request;
        target.schema = lists[what].row;
        return call_run(client, &call);
}

int mcpcred_list_leases(mcpcred *client, const mcpcred_selector *selector, int all,
                        mcpcred_row_fn row, void *userdata)
{
        const RevokeRequest *what = &selector->body;
        const ListLeasesRequest request = {
                .all = all != 0,
                .session = what->session,
                .profile = what->profile,
                .secret = what->secret,
                .provider = what->provider,
                .principal = what->principal,
                .since = what->since,
        };
        RowTarget target = { .schema = &schema_lease_row, .row = row, .userdata = userdata };
        const Call call = { CALL(BROKER_LIST_LEASES), .request = &request, .reads_only = true,
                            .reply = row_target_list, .userdata = &target };

        client_clear_error(client);
        if (selector->failed || what->token_hash)
                return client_fail(client, MCPCRED_E_MISUSE,
                                   "A selector is empty, or cannot be listed by.");
        return call_run(client, &call);
}

int mcpcred_status(mcpcred *client, mcpcred_row_fn row, void *userdata)
{
        const StatusRequest request = { 0 };

        return call_for_row(client,
                            (Call){ CALL(BROKER_STATUS), .request = &request, .reads_only = true },
                            row, userdata);
}

int mcpcred_scan_patterns(mcpcred *client, mcpcred_row_fn row, void *userdata)
{
        const StatusRequest request = { 0 };
        RowTarget target = { .schema = reply_of(BROKER_SCAN_PATTERNS), .row = row, .userdata = userdata };
        const Call call = { CALL(BROKER_SCAN_PATTERNS), .request = &request, .reply = row_target_whole,
                            .userdata = &target };

        return call_run(client, &call);
}

int mcpcred_metrics(mcpcred *client, mcpcred_row_fn row, void *userdata)
{
        const StatusRequest request = { 0 };

        return call_for_row(client,
                            (Call){ CALL(BROKER_METRICS), .request = &request }, row, userdata);
}

/* ---- the broker itself ---- */

static int keep_reload(mcpcred *client UNUSED, void *body, Pool *pool UNUSED, bool more UNUSED,
                       void *userdata)
{
        *(uint64_t *)userdata = ((const ReloadReply *)body)->profiles;
        return 0;
}

int mcpcred_reload(mcpcred *client, uint64_t *ret_profiles)
{
        const StatusRequest request = { 0 };
        uint64_t profiles = 0;
        const Call call = { CALL(BROKER_RELOAD), .request = &request, .reply = keep_reload,
                            .userdata = &profiles };
        int r = call_run(client, &call);

        if (r == 0 && ret_profiles)
                *ret_profiles = profiles;
        return r;
}

int mcpcred_lock(mcpcred *client, mcpcred_row_fn row, void *userdata)
{
        const StatusRequest request = { 0 };

        return call_for_row(client, (Call){ CALL(BROKER_LOCK), .request = &request }, row,
                            userdata);
}

int mcpcred_unlock(mcpcred *client, const mcpcred_value *passphrase, int create, mcpcred_row_fn row,
                   void *userdata)
{
        const UnlockRequest request = { .create = create != 0 };
        Call call = { CALL(BROKER_UNLOCK), .request = &request };
        _cleanup_(fd_closep) int fd = -1;
        int r;

        client_clear_error(client);
        r = value_socket(client, passphrase, &fd);
        if (r)
                return r;
        call.request_fd = fd;
        return call_for_row(client, call, row, userdata);
}
