/*
 * ScanPatterns: what the owner needs to find what is stored or issued here in files, and as little more as possible. Of
 * a value that is its beginning, where every value of its kind begins alike, or else four bytes from its middle; its
 * length; and a hash by a key that is made for the call, so that answers say nothing of each other.
 */
#include "base/ident.h"
#include "base/text.h"
#include "base/token_format.h"
#include "vault/known_values.h"
#include "vault/rows_secret.h"
#include "vault/secret_load.h"
#include "vault/vault.h"
#include "wire/provider_info.h"
#include <sodium.h>
#include <stdio.h>

#define KEY_SIZE 32U
#define HASH_SIZE 32U
#define ANCHOR_SIZE 4U
/* Of a beginning that is public. */
#define ANCHOR_MAX 16U
#define ANCHOR_MIN 3U
/* Four bytes of a shorter one would be too much of it, and what is left could be guessed by the hash. */
#define SCAN_VALUE_MIN 16U
#define VALUES 3U /* of one secret: current, next, previous */
#define PREFIXES_MAX 32U

/* The secret that is being loaded. */
typedef struct Page {
        ScanPattern patterns[VALUES];
        char anchor[VALUES][2 * ANCHOR_MAX + 1];
        char hash[VALUES][2 * HASH_SIZE + 1];
        size_t n;
        ScanSkip skip;
        char reason[LIMIT_TEXT];
} Page;

typedef struct ScanOp {
        Vault *vault;
        Request *request;
        char name[LIMIT_NAME + 1]; /* of the secret whose turn it is */
        uint8_t key[KEY_SIZE];
        char key_hex[2 * KEY_SIZE + 1];
        const char *prefixes[PREFIXES_MAX];
        size_t n_prefixes;
        Page page;
} ScanOp;

static int next(ScanOp *op);

static AuditEvent event_of(const ScanOp *op)
{
        const StatusRequest *body = op->request->body;

        return vault_event(body->caller, "scan.patterns");
}

static void op_free(ScanOp *op)
{
        sodium_memzero(op, sizeof(*op));
        free(op);
}

static int refuse(ScanOp *op, const Failure *failure)
{
        int r = vault_refuse(op->vault, op->request, event_of(op), failure);

        op_free(op);
        return r;
}

/* ---- prefixes ---- */

static void add_prefix(ScanOp *op, const char *prefix)
{
        size_t n = prefix ? strlen(prefix) : 0;

        if (n < ANCHOR_MIN || op->n_prefixes == PREFIXES_MAX)
                return;
        for (size_t i = 0; i < op->n_prefixes; i++)
                if (strcmp(op->prefixes[i], prefix) == 0)
                        return;
        op->prefixes[op->n_prefixes++] = prefix;
}

/* Of all kinds that are known, whoever issued them: an old value of a secret is found by its kind alone. */
static void collect_prefixes(ScanOp *op)
{
        for (unsigned kind = TOKEN_KIND_NONE; kind < _TOKEN_KIND_N; kind++)
                add_prefix(op, token_kind_prefix((TokenKind)kind));
        for (size_t i = 0; i < n_provider_infos; i++) {
                add_prefix(op, provider_infos[i].token_prefix);
                add_prefix(op, provider_infos[i].secret_prefix);
                if (provider_infos[i].value == PROVIDER_VALUE_RSA_KEY_PEM)
                        add_prefix(op, "-----BEGIN PRIVATE KEY-----");
        }
}

/* How much of the value's beginning is known to everybody. */
static size_t public_beginning(const ScanOp *op, Slice value)
{
        size_t longest = 0;

        for (size_t i = 0; i < op->n_prefixes; i++) {
                size_t n = strlen(op->prefixes[i]);

                if (n > longest && value.size > n && memcmp(value.data, op->prefixes[i], n) == 0)
                        longest = n;
        }
        return MIN(longest, ANCHOR_MAX);
}

/* ---- one secret ---- */

static void skip(ScanOp *op, const char *reason)
{
        (void)snprintf(op->page.reason, sizeof(op->page.reason), "%s", reason);
        text_mend_end(op->page.reason);
        op->page.skip = (ScanSkip){ .secret = op->name, .reason = op->page.reason };
}

static void add_pattern(ScanOp *op, const char *state, Slice value)
{
        size_t size = public_beginning(op, value), offset = 0, i = op->page.n;
        uint8_t hash[HASH_SIZE];

        if (value.size < SCAN_VALUE_MIN) {
                skip(op, "It is shorter than 16 bytes: an anchor would give too much of it away.");
                return;
        }
        if (size == 0) {
                size = ANCHOR_SIZE;
                offset = (value.size - ANCHOR_SIZE) / 2;
        }
        (void)crypto_generichash(hash, sizeof(hash), value.data, value.size, op->key, sizeof(op->key));
        text_hex(slice(hash, sizeof(hash)), op->page.hash[i]);
        text_hex(slice(value.data + offset, size), op->page.anchor[i]);
        op->page.patterns[op->page.n++] = (ScanPattern){
                .secret = op->name,
                .state = state,
                .anchor = op->page.anchor[i],
                .offset = offset,
                .length = value.size,
                .hash = op->page.hash[i],
        };
}

static void add_value(ScanOp *op, const char *state, const Secret *value)
{
        _cleanup_(secret_freep) Secret *canonical = NULL;

        if (!value || secret_size(value) == 0)
                return;
        if (known_values_canonical(secret_slice(value), op->vault->role.arena, &canonical))
                skip(op, "There is no locked memory left for its canonical form.");
        else
                add_pattern(op, state, secret_slice(canonical ? canonical : value));
}

static int send_page(ScanOp *op)
{
        ScanPatternsReply reply = {
                .key = op->key_hex,
                .patterns = { .items = op->page.patterns, .n = op->page.n },
                .skipped = { .items = &op->page.skip, .n = op->page.skip.secret != NULL },
        };

        return request_reply_more(op->request, &reply);
}

/* What is wrong with one item must not hide the others; what is wrong with the store ends the call. */
static bool is_of_the_item(Fault fault)
{
        return fault == FAULT_ROLLBACK || fault == FAULT_STORE_DAMAGED || fault == FAULT_NOT_FOUND ||
               fault == FAULT_UNSUPPORTED;
}

static int on_secret(void *userdata, LoadedSecret *secret, const Failure *failure)
{
        ScanOp *op = userdata;
        int r;

        if (failed(failure) && !is_of_the_item(failure->fault))
                return refuse(op, failure);
        op->page = (Page){ 0 };
        if (failed(failure)) {
                skip(op, failure->message);
        } else {
                add_value(op, "current", secret->item.current);
                add_value(op, "next", secret->item.next);
                add_value(op, "previous", secret->item.previous);
        }
        r = send_page(op);
        return r < 0 ? r : next(op);
}

/* ---- all of them ---- */

static int finish(ScanOp *op)
{
        ScanPatternsReply reply = { .key = op->key_hex, .prefixes = { .items = op->prefixes, .n = op->n_prefixes } };
        int r = request_reply(op->request, &reply, NULL, 0);

        op_free(op);
        return r;
}

/* The next secret behind op->name. A caller that has gone away needs no more. */
static int next(ScanOp *op)
{
        Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        SecretRecord *records;
        Failure failure = { 0 };
        size_t n = 0;
        bool any;

        any = request_is_live(op->request) &&
              !vault_db_failed(op->vault, rows_secret_list(op->vault->db, op->name, 1, &pool, &records, &n), &failure) &&
              n > 0;
        if (any)
                memcpy(op->name, records[0].name, sizeof(op->name));
        pool_deinit(&pool);
        if (failed(&failure))
                return refuse(op, &failure);
        return any ? secret_load(op->vault, op->name, on_secret, op) : finish(op);
}

/* Asked for is as good as given out: the line comes first. */
static bool write_down(ScanOp *op, Failure *failure)
{
        AuditEvent event = event_of(op);
        Vault *vault = op->vault;
        int r;

        event.verdict = AUDIT_ALLOW;
        r = db_begin(vault->db);
        if (r == 0)
                r = audit_append(vault->audit, &event);
        if (r == 0)
                r = vault_commit(vault);
        return !vault_db_failed(vault, r, failure);
}

int op_scan_patterns(Vault *vault, Request *request)
{
        ScanOp *op = calloc(1, sizeof(*op));
        Failure failure = { 0 };

        if (!op)
                return -ENOMEM;
        op->vault = vault;
        op->request = request;
        if (!vault_may_issue(vault, &failure) || !write_down(op, &failure))
                return refuse(op, &failure);
        randombytes_buf(op->key, sizeof(op->key));
        text_hex(slice(op->key, sizeof(op->key)), op->key_hex);
        collect_prefixes(op);
        return next(op);
}
