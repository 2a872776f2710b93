#include "vault/mint.h"
#include "vault/revoker.h"
#include "vault/rows_lease.h"
#include "vault/secret_load.h"
#include "wire/scope.h"
#include <stdio.h>

/* What is given out again must still be of use. */
#define REUSE_MIN_USEC (60 * USEC_PER_SEC)
/* As many of these as a session can have fit one reply; those of GitHub are a tenth of it. */
#define TOKEN_MAX 4096U
/* Until the next attempt to write down what could not be. */
#define REWRITE_USEC (5 * USEC_PER_SEC)

typedef struct Mint {
        Vault *vault;
        Pool pool;
        char session[IDENT_ID_SIZE + 1];
        uint64_t session_expires;
        uint64_t uid;
        char request[IDENT_ID_SIZE + 1];
        char profile[LIMIT_NAME + 1];
        char secret[LIMIT_NAME + 1];
        Scope scope; /* the pool's */
        bool may_expose;
        Ident lease;
        const ProviderInfo *info;
        LeaseUpstream binding; /* as in the lease's row, which cannot be read while the store is locked; the pool's */
        bool intent;           /* the row is there */
        MintDone done;
        void *userdata;
} Mint;

static int finish(Mint *mint, Secret *token, uint64_t expires, const Failure *failure)
{
        int r = mint->done(mint->userdata, token, expires, mint->lease.text, failure);

        pool_deinit(&mint->pool);
        free(mint);
        return r;
}

static AuditEvent event_of(const Mint *mint, const char *operation)
{
        return (AuditEvent){
                .request = mint->request[0] ? mint->request : NULL,
                .has_principal = true,
                .principal = mint->uid,
                .session = mint->session,
                .profile = mint->profile,
                .secret = mint->secret,
                .lease = mint->lease.text,
                .operation = operation,
        };
}

/* What an intent came to, when the upstream gave nothing, or may have given something. */
typedef struct Unclosed {
        List link; /* in Vault.unclosed while it could not be written down */
        char lease[IDENT_ID_SIZE + 1];
        char session[IDENT_ID_SIZE + 1];
        char profile[LIMIT_NAME + 1];
        char secret[LIMIT_NAME + 1];
        char request[IDENT_ID_SIZE + 1];
        uint64_t uid;
        bool unknown; /* something may be alive upstream */
        Failure why;
} Unclosed;

static int write_closed(Vault *vault, const Unclosed *it)
{
        AuditEvent event = {
                .request = it->request[0] ? it->request : NULL,
                .has_principal = true,
                .principal = it->uid,
                .session = it->session,
                .profile = it->profile,
                .secret = it->secret,
                .lease = it->lease,
                .operation = "token.mint",
                .verdict = AUDIT_ERROR,
                .reason = fault_info(it->why.fault)->name,
                .detail = it->why.message,
        };
        int r;

        r = db_begin(vault->db);
        if (r == 0)
                r = rows_lease_finish(vault->db, it->lease, it->unknown ? LEASE_UNRECOVERABLE : LEASE_FAILED,
                                      it->unknown ? OUTCOME_PENDING : OUTCOME_NONE, vault_now(vault),
                                      it->unknown ? "the upstream's reply was lost" : it->why.message);
        if (r == 0 || r == DB_E_NOT_FOUND)
                r = audit_append(vault->audit, &event);
        return r == 0 ? vault_commit(vault) : r;
}

int mint_close_unclosed(Vault *vault)
{
        bool any = false;
        Failure ignored;

        LIST_FOREACH(node, &vault->unclosed) {
                Unclosed *it = container_of(node, Unclosed, link);

                if (vault_db_failed(vault, write_closed(vault, it), &ignored))
                        break;
                list_remove(&it->link);
                free(it);
                any = true;
        }
        return any ? revoker_wake(vault->revoker) : 0;
}

void mint_forget_unclosed(Vault *vault)
{
        while (vault->unclosed.next && !list_empty(&vault->unclosed)) {
                Unclosed *it = container_of(vault->unclosed.next, Unclosed, link);

                list_remove(&it->link);
                free(it);
        }
}

/* What cannot be written down now is when it can: a row that stays an intent says that a mint is under way. */
static int close_intent(Mint *mint, const Failure *why, bool unknown)
{
        Vault *vault = mint->vault;
        Unclosed *it = calloc(1, sizeof(*it));
        Failure ignored;

        if (!it)
                return -ENOMEM;
        list_init(&it->link);
        (void)snprintf(it->lease, sizeof(it->lease), "%s", mint->lease.text);
        (void)snprintf(it->session, sizeof(it->session), "%s", mint->session);
        (void)snprintf(it->profile, sizeof(it->profile), "%s", mint->profile);
        (void)snprintf(it->secret, sizeof(it->secret), "%s", mint->secret);
        (void)snprintf(it->request, sizeof(it->request), "%s", mint->request);
        it->uid = mint->uid;
        it->unknown = unknown;
        it->why = *why;
        if (vault_db_failed(vault, write_closed(vault, it), &ignored)) {
                list_append(&vault->unclosed, &it->link);
                vault_note_deadline(vault, vault_boot(vault) + REWRITE_USEC);
        } else {
                free(it);
        }
        return revoker_wake(vault->revoker);
}

static int fail(Mint *mint, const Failure *failure)
{
        int r = mint->intent ? close_intent(mint, failure, failure->fault == FAULT_UPSTREAM_UNKNOWN) : 0;

        return r < 0 ? r : finish(mint, NULL, 0, failure);
}

static int on_unrecorded_revoked(void *userdata, UNUSED void *body, const Failure *failure)
{
        Vault *vault = userdata;

        if (failed(failure))
                role_log(&vault->role, LOG_LEVEL_ERROR, "a token that could not be written down could not be revoked");
        return 0;
}

/*
 * The upstream gave a token and the state cannot take it down. It is delivered to nobody, the
 * upstream is asked at once to revoke it, and its row stays as one whose value is lost.
 */
static int fail_unrecorded(Mint *mint, Secret *token, const char *upstream_id, const Failure *failure)
{
        Vault *vault = mint->vault;
        Upstream upstream = {
                .provider = mint->info->name,
                .base_url = mint->binding.base_url,
                .parameters = mint->binding.parameters,
        };
        ProviderRevokeRequest request = { .upstream = &upstream, .token = token, .upstream_id = upstream_id };
        int r;

        r = provider_pool_run(vault->providers, mint->info->name, PROVIDER_REVOKE, &request, on_unrecorded_revoked,
                              vault);
        if (r == 0)
                r = close_intent(mint, failure, true);
        return r < 0 ? r : finish(mint, NULL, 0, failure);
}

/* Has the session ended, or has a cutoff come, since the intent was written? */
static int is_cut(Mint *mint, bool *ret)
{
        Pool pool = POOL_NULL(SESSION_POOL_MAX);
        SessionRecord session;
        LeaseRecord lease;
        int r;

        *ret = true;
        r = rows_lease_get(mint->vault->db, mint->lease.text, &lease);
        if (r == 0 && lease.state == LEASE_INTENT) {
                r = rows_cutoff_covers(mint->vault->db, &lease, NULL);
                if (r == DB_E_NOT_FOUND) {
                        r = rows_session_get(mint->vault->db, mint->session, &pool, &session);
                        *ret = r != 0 || session.state == SESSION_ENDED;
                }
        }
        pool_deinit(&pool);
        return r == DB_E_NOT_FOUND ? 0 : r;
}

/* Whether it can stand in a header, in a variable and on a line. The process that says so reads what an
 * upstream sends, so its word is not enough. */
static bool is_token(Slice value)
{
        for (size_t i = 0; i < value.size; i++)
                if (value.data[i] <= ' ' || value.data[i] > '~')
                        return false;
        return value.size > 0 && value.size <= TOKEN_MAX;
}

static uint64_t usual_end(const Mint *mint)
{
        return vault_now(mint->vault) + mint->info->token_lifetime * USEC_PER_SEC;
}

/* Why the token that came may not be used, if so; `ret_detail` is for the log. */
static void object(Mint *mint, const ProviderMintReply *reply, Failure *ret, const char **ret_detail)
{
        const Scope *granted = reply->granted;
        bool within = true;

        if (granted && granted->repositories.n == 0 && mint->scope.repositories.n > 0) {
                *ret_detail = "the upstream did not say which repositories it gave";
                within = false;
        } else if (granted) {
                within = policy_scope_within(granted, &mint->scope, ret_detail);
        }
        if (!within) {
                failure_set(ret, FAULT_UPSTREAM_BAD_SCOPE,
                            "The upstream gave more than was asked for; it is being revoked.");
        } else if (reply->expires <= vault_now(mint->vault)) {
                *ret_detail = "it has expired already";
                failure_set(ret, FAULT_UPSTREAM_UNKNOWN,
                            "By this machine's clock the upstream's token has expired already; it is being revoked.");
        }
}

/* What the upstream gave is written down: as live, or, where it may not be used any more, as due for
 * revocation. `ret_cut` says which. */
static int record_token(Mint *mint, const LeaseToken *token, const Failure *objection, const char *detail,
                        bool *ret_cut)
{
        Vault *vault = mint->vault;
        AuditEvent event = event_of(mint, "token.mint");
        char hash[SEAL_AUDIT_HASH_SIZE];
        bool cut;
        int r;

        r = db_begin(vault->db);
        if (r)
                return r;
        r = is_cut(mint, &cut);
        if (r)
                return r;
        seal_audit_hash(vault->seal, secret_slice(token->value), hash);
        event.token = hash;
        if (!cut && !failed(objection)) {
                event.verdict = AUDIT_ALLOW;
                r = rows_lease_set_live(vault->db, mint->lease.text, token);
        } else {
                event.verdict = AUDIT_DENY;
                event.reason = fault_info(cut ? FAULT_REVOKED : objection->fault)->name;
                event.detail = detail;
                r = rows_lease_set_token(vault->db, mint->lease.text, token, vault_now(vault),
                                         cut ? "revoked while it was being minted" : "not what was asked for");
        }
        if (r == 0)
                r = audit_append(vault->audit, &event);
        if (r == 0)
                r = vault_commit(vault);
        *ret_cut = cut;
        return r;
}

static int on_minted(void *userdata, void *body, const Failure *failure)
{
        Mint *mint = userdata;
        ProviderMintReply *reply = body;
        uint8_t hash[SEAL_HASH_SIZE];
        LeaseToken token;
        const char *detail = NULL;
        Failure mine = *failure, objection = { 0 };
        bool cut = false;
        int r;

        if (failed(failure))
                return fail(mint, failure);
        if (!mint->vault->seal) {
                failure_set(&mine, FAULT_KEYRING_LOCKED, "The store was locked while the token was being minted.");
                return fail_unrecorded(mint, reply->token, reply->upstream_id, &mine);
        }
        if (!is_token(secret_slice(reply->token))) {
                failure_set(&mine, FAULT_UPSTREAM_UNKNOWN, "What the upstream gave as a token is none.");
                return fail_unrecorded(mint, reply->token, reply->upstream_id, &mine);
        }
        object(mint, reply, &objection, &detail);
        seal_token_hash(mint->vault->seal, secret_slice(reply->token), hash);
        token = (LeaseToken){
                .hash = slice(hash, sizeof(hash)),
                .value = reply->token,
                .upstream_id = reply->upstream_id,
                /* A lease that ends before it begins would count as dead, and never be revoked. */
                .expires = failed(&objection) ? MAX(reply->expires, usual_end(mint)) : reply->expires,
        };
        r = record_token(mint, &token, &objection, detail, &cut);
        if (vault_db_failed(mint->vault, r, &mine))
                return fail_unrecorded(mint, reply->token, reply->upstream_id, &mine);
        if (cut || failed(&objection)) {
                mine = objection;
                if (cut)
                        failure_set(&mine, FAULT_REVOKED, "It was revoked while it was being minted.");
                r = revoker_wake(mint->vault->revoker);
                return r < 0 ? r : finish(mint, NULL, 0, &mine);
        }
        r = revoker_wake(mint->vault->revoker);
        return r < 0 ? r : finish(mint, take_ptr(reply->token), reply->expires, &mine);
}

static int on_loaded_mint(Mint *mint, LoadedSecret *secret)
{
        Failure failure;
        _cleanup_(secret_freep) Secret *proof = NULL;
        Upstream upstream = {
                .provider = secret->record.provider,
                .base_url = secret->record.base_url,
                .parameters = secret->record.parameters,
        };
        ProviderMintRequest request = { .upstream = &upstream, .scope = &mint->scope, .label = mint->lease.text };

        if (!secret_proof(mint->vault, secret->info, &secret->record.parameters, secret->item.current, &proof,
                          &failure))
                return fail(mint, &failure);
        upstream.proof = proof;
        return provider_pool_run(mint->vault->providers, secret->record.provider, PROVIDER_MINT, &request, on_minted,
                                 mint);
}

static int insert_lease(Mint *mint, const SecretRecord *secret, bool raw, const LeaseToken *token)
{
        Vault *vault = mint->vault;
        uint64_t now = vault_now(vault);
        LeaseUpstream upstream = { .base_url = secret->base_url, .parameters = secret->parameters };
        AuditEvent event = event_of(mint, raw ? "secret.expose" : "token.intent");
        LeaseRecord lease = {
                .generation = secret->generation,
                .state = raw ? LEASE_LIVE : LEASE_INTENT,
                .on_end = raw                        ? OUTCOME_IMPOSSIBLE_ROTATE
                          : mint->info->can_revoke ? OUTCOME_PENDING
                                                     : OUTCOME_NONE,
                .created = now,
                .expires = raw ? mint->session_expires : usual_end(mint),
        };
        int r;

        (void)snprintf(lease.id, sizeof(lease.id), "%s", mint->lease.text);
        (void)snprintf(lease.session, sizeof(lease.session), "%s", mint->session);
        (void)snprintf(lease.profile, sizeof(lease.profile), "%s", mint->profile);
        (void)snprintf(lease.secret, sizeof(lease.secret), "%s", mint->secret);
        (void)snprintf(lease.provider, sizeof(lease.provider), "%s", secret->provider);
        r = db_begin(vault->db);
        if (r == 0)
                r = rows_lease_insert(vault->db, &lease, &upstream, token);
        if (r == 0)
                r = audit_append(vault->audit, &event);
        return r == 0 ? vault_commit(vault) : r;
}

/* Has it ended while the key was being loaded? */
static bool session_is_over(Mint *mint, Failure *ret)
{
        Pool pool = POOL_NULL(SESSION_POOL_MAX);
        SessionRecord session;
        int r = rows_session_get(mint->vault->db, mint->session, &pool, &session);

        pool_deinit(&pool);
        if (r == 0 && session.state == SESSION_ENDED)
                failure_set(ret, FAULT_REVOKED, "It was revoked while it was being handed out.");
        else
                (void)vault_db_failed(mint->vault, r, ret);
        return failed(ret);
}

/* A stored key, handed out as it is: the profile says so in three places. */
static int on_loaded_raw(Mint *mint, LoadedSecret *secret)
{
        uint8_t hash[SEAL_HASH_SIZE];
        LeaseToken token = { .hash = slice(hash, sizeof(hash)), .expires = mint->session_expires };
        Failure failure = { 0 };
        int r;

        if (!mint->vault->seal) {
                failure_set(&failure, FAULT_KEYRING_LOCKED, NULL);
                return fail(mint, &failure);
        }
        if (session_is_over(mint, &failure))
                return fail(mint, &failure);
        seal_token_hash(mint->vault->seal, secret_slice(secret->item.current), hash);
        r = insert_lease(mint, &secret->record, true, &token);
        if (vault_db_failed(mint->vault, r, &failure))
                return fail(mint, &failure);
        return finish(mint, take_ptr(secret->item.current), 0, &failure);
}

static int on_loaded(void *userdata, LoadedSecret *secret, const Failure *failure)
{
        Mint *mint = userdata;

        if (failed(failure))
                return fail(mint, failure);
        return mint->info->can_mint ? on_loaded_mint(mint, secret) : on_loaded_raw(mint, secret);
}

static int copy_scope(Mint *mint, const Scope *scope)
{
        Buf buf = BUF_NULL(CHANNEL_FRAME_MAX);
        int r;

        if (!scope)
                return 0;
        r = schema_encode(&schema_scope, scope, &buf);
        if (r == 0)
                r = error_fold(schema_decode(&schema_scope, buf_slice(&buf), NULL, &mint->pool, &mint->scope, NULL));
        buf_deinit(&buf);
        return r;
}

static int copy_ask(Mint *mint, const MintAsk *ask)
{
        (void)snprintf(mint->session, sizeof(mint->session), "%s", ask->session);
        (void)snprintf(mint->profile, sizeof(mint->profile), "%s", ask->grant->profile);
        (void)snprintf(mint->secret, sizeof(mint->secret), "%s", ask->grant->secret);
        (void)snprintf(mint->request, sizeof(mint->request), "%s", ask->request ? ask->request : "");
        mint->session_expires = ask->session_expires;
        mint->uid = ask->uid;
        mint->may_expose = ask->may_expose && ask->grant->expose_secret;
        return copy_scope(mint, ask->grant->scope);
}

/* Writes the intent for what an upstream will be asked. What is handed out raw needs none. */
static int write_intent(Mint *mint, Failure *failure)
{
        SecretRecord secret;
        int r;

        r = rows_secret_get(mint->vault->db, mint->secret, &mint->pool, &secret);
        if (r == DB_E_NOT_FOUND) {
                failure_set(failure, FAULT_NOT_FOUND, "There is no secret %s; `mcpcred add` stores one.", mint->secret);
        } else if (!vault_db_failed(mint->vault, r, failure)) {
                mint->info = provider_info(secret.provider);
                mint->binding = (LeaseUpstream){ .base_url = secret.base_url, .parameters = secret.parameters };
                if (!mint->info)
                        failure_set(failure, FAULT_UNSUPPORTED, "This build has no provider %s.", secret.provider);
                else if (!mint->info->can_mint && !mint->may_expose)
                        failure_set(failure, FAULT_POLICY_DENIED,
                                    "Secret %s cannot be minted from; it is handed out once, when a session is "
                                    "opened, and only by a profile that exposes it.",
                                    mint->secret);
                else if (mint->info->can_mint && !vault_db_failed(mint->vault, insert_lease(mint, &secret, false, NULL),
                                                                  failure))
                        mint->intent = true;
        }
        return 0;
}

int mint_start(Vault *vault, const MintAsk *ask, MintDone done, void *userdata)
{
        Mint *mint = calloc(1, sizeof(*mint));
        Failure failure = { 0 };
        int r;

        if (!mint)
                return -ENOMEM;
        mint->vault = vault;
        mint->pool = POOL_NULL(3U * CHANNEL_FRAME_MAX);
        mint->lease = ident_new('l');
        mint->done = done;
        mint->userdata = userdata;
        r = copy_ask(mint, ask);
        if (r == 0)
                r = write_intent(mint, &failure);
        if (r < 0) {
                pool_deinit(&mint->pool);
                free(mint);
                return r;
        }
        if (failed(&failure))
                return finish(mint, NULL, 0, &failure);
        return secret_load(vault, mint->secret, on_loaded, mint);
}

int mint_find(Vault *vault, const char *session, const char *profile, Secret **ret, uint64_t *ret_expires)
{
        LeaseFilter filter = { .what = { .session = session, .profile = profile }, .states = 1U << LEASE_LIVE };
        uint64_t soonest = vault_now(vault) + REUSE_MIN_USEC, after = 0;
        Pool pool = POOL_NULL(4U * CHANNEL_FRAME_MAX);
        LeaseRecord *leases;
        size_t n = 0;
        int r;

        *ret = NULL;
        r = rows_lease_list(vault->db, &filter, after, LIMIT_PAGE, &pool, &leases, &n);
        for (size_t i = n; r == 0 && i-- > 0 && !*ret;) {
                if (leases[i].expires < soonest || !leases[i].has_token)
                        continue;
                r = rows_lease_token(vault->db, leases[i].id, vault->role.arena, ret);
                *ret_expires = leases[i].expires;
        }
        pool_deinit(&pool);
        return r;
}
