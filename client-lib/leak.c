#include "client.h"
#include "base/fd.h"
#include "base/text.h"
#include "wire/field.h"
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>

#define HASH_SIZE crypto_hash_sha256_BYTES

typedef struct Hash {
        uint8_t bytes[HASH_SIZE];
} Hash;

struct mcpcred_leak {
        Hash *hashes;
        size_t n;
        uint32_t *slots; /* hashes by number + 1; 0: free. Twice as many as there is room for hashes */
        size_t room;     /* a power of two, or 0 */
        uint8_t key[crypto_shorthash_KEYBYTES];
        char source[LIMIT_LABEL + 1];
};

int mcpcred_leak_new(mcpcred_leak **ret)
{
        mcpcred_leak *leak = calloc(1, sizeof(*leak));

        if (!leak)
                return MCPCRED_E_NO_MEMORY;
        crypto_shorthash_keygen(leak->key);
        *ret = leak;
        return MCPCRED_OK;
}

/* Of a value that a person chose, a bare hash says too much to be left lying around. */
static void drop_hashes(Hash *hashes, size_t n)
{
        if (hashes)
                sodium_memzero(hashes, n * sizeof(*hashes));
        free(hashes);
}

mcpcred_leak *mcpcred_leak_free(mcpcred_leak *leak)
{
        if (leak) {
                drop_hashes(leak->hashes, leak->room);
                free(leak->slots);
                free(leak);
        }
        return NULL;
}

int mcpcred_leak_source(mcpcred_leak *leak, const char *source)
{
        if (!source || strlen(source) > LIMIT_LABEL || !text_is_printable(source))
                return MCPCRED_E_MISUSE;
        memcpy(leak->source, source, strlen(source) + 1);
        return MCPCRED_OK;
}

/* Where the hash is, or would be put. What a report holds is chosen by strangers: hence the key. */
static uint32_t *find_slot(const mcpcred_leak *leak, const Hash *hash)
{
        size_t mask = 2 * leak->room - 1, at;
        uint64_t start;

        _Static_assert(sizeof(start) == crypto_shorthash_BYTES, "it fills the number");
        (void)crypto_shorthash((uint8_t *)&start, hash->bytes, HASH_SIZE, leak->key);
        for (at = start & mask; leak->slots[at] != 0; at = (at + 1) & mask)
                if (memcmp(leak->hashes[leak->slots[at] - 1].bytes, hash->bytes, HASH_SIZE) == 0)
                        break;
        return &leak->slots[at];
}

static int grow(mcpcred_leak *leak)
{
        size_t room = leak->room ? 2 * leak->room : 64;
        Hash *hashes = calloc(room, sizeof(*hashes)), *old = leak->hashes;
        uint32_t *slots = calloc(2 * room, sizeof(*slots));

        if (!hashes || !slots) {
                free(hashes);
                free(slots);
                return MCPCRED_E_NO_MEMORY;
        }
        if (old)
                memcpy(hashes, old, leak->n * sizeof(*old));
        free(leak->slots);
        drop_hashes(old, leak->room);
        leak->hashes = hashes;
        leak->slots = slots;
        leak->room = room;
        for (uint32_t i = 0; i < leak->n; i++)
                *find_slot(leak, &leak->hashes[i]) = i + 1;
        return 0;
}

static int add(mcpcred_leak *leak, const Hash *hash, size_t *ret_index)
{
        uint32_t *slot;

        if (leak->n == leak->room && grow(leak))
                return MCPCRED_E_NO_MEMORY;
        slot = find_slot(leak, hash);
        if (*slot == 0) {
                if (leak->n == MCPCRED_LEAK_MAX)
                        return MCPCRED_E_NO_MEMORY;
                leak->hashes[leak->n++] = *hash;
                *slot = (uint32_t)leak->n;
        }
        if (ret_index)
                *ret_index = *slot - 1;
        return MCPCRED_OK;
}

int mcpcred_leak_candidate(mcpcred_leak *leak, const void *data, size_t size, size_t *ret_index)
{
        Hash hash;
        int r;

        if (!data || size == 0)
                return MCPCRED_E_MISUSE;
        (void)crypto_hash_sha256(hash.bytes, data, size);
        r = add(leak, &hash, ret_index);
        sodium_memzero(&hash, sizeof(hash));
        return r;
}

int mcpcred_leak_candidate_hash(mcpcred_leak *leak, const unsigned char *hash, size_t *ret_index)
{
        Hash copy;

        memcpy(copy.bytes, hash, sizeof(copy.bytes));
        return add(leak, &copy, ret_index);
}

/* ---- asking ---- */

/* One call: some of the candidates. */
typedef struct Batch {
        size_t first, n;
        char texts[LIMIT_CANDIDATES][2 * HASH_SIZE + 1];
        const char *items[LIMIT_CANDIDATES];
        bool matched[LIMIT_CANDIDATES];
        mcpcred_row_fn row;
        void *userdata;
        mcpcred_leaked *sum;
} Batch;

static int take_matches(mcpcred *client, void *body, Pool *pool, bool more UNUSED, void *userdata)
{
        Batch *batch = userdata;
        ReportLeakReply *reply = body;
        LeakMatch *matches = reply->matches.items;
        int r = 0;

        for (size_t i = 0; r == 0 && i < reply->matches.n; i++) {
                size_t index = matches[i].index;

                if (index >= batch->n)
                        return client_fail(client, MCPCRED_E_PROTOCOL, "The broker's answer names a value that it was not "
                                                                       "asked about.");
                batch->sum->matched += !batch->matched[index];
                batch->matched[index] = true;
                matches[i].index += batch->first;
                r = row_give(client, batch->row, batch->userdata, &schema_leak_match, &matches[i], pool);
        }
        batch->sum->pending = batch->sum->pending || reply->pending;
        return r;
}

static int ask(mcpcred *client, const mcpcred_leak *leak, bool dry_run, Batch *batch)
{
        ReportLeakRequest request = { .hashes = { batch->items, batch->n },
                                      .source = leak->source[0] ? leak->source : NULL,
                                      .dry_run = dry_run };
        /* Not twice, though it could be: each answer is told once. */
        const Call call = { CALL(BROKER_REPORT_LEAK), .request = &request, .reply = take_matches, .userdata = batch };

        memset(batch->matched, 0, sizeof(batch->matched));
        for (size_t i = 0; i < batch->n; i++) {
                text_hex(slice(leak->hashes[batch->first + i].bytes, HASH_SIZE), batch->texts[i]);
                batch->items[i] = batch->texts[i];
        }
        return call_run(client, &call);
}

int mcpcred_leak_report(mcpcred *client, const mcpcred_leak *leak, int dry_run, mcpcred_row_fn row, void *userdata,
                        mcpcred_leaked *ret)
{
        mcpcred_leaked sum = { 0 };
        Batch *batch;
        int r = 0;

        client_clear_error(client);
        batch = calloc(1, sizeof(*batch));
        if (!batch)
                return client_fail_errno(client, -ENOMEM, "ask about the values");
        batch->row = row;
        batch->userdata = userdata;
        batch->sum = &sum;
        for (; r == 0 && batch->first < leak->n; batch->first += batch->n) {
                batch->n = MIN(leak->n - batch->first, LIMIT_CANDIDATES);
                r = ask(client, leak, dry_run != 0, batch);
                sum.candidates += batch->n;
        }
        sodium_memzero(batch, sizeof(*batch));
        free(batch);
        if (r == 0 && ret)
                *ret = sum;
        return r;
}

/* ---- incidents ---- */

int mcpcred_leak_close(mcpcred *client, const char *incident)
{
        const CloseIncidentRequest request = { .incident = incident };
        const Call call = { CALL(BROKER_CLOSE_INCIDENT), .request = &request };

        client_clear_error(client);
        return call_run(client, &call);
}

/* ---- webhooks ---- */

static int keep_valid(mcpcred *client UNUSED, void *body, Pool *pool UNUSED, bool more UNUSED, void *userdata)
{
        *(int *)userdata = ((const VerifyWebhookReply *)body)->valid;
        return 0;
}

int mcpcred_webhook_verify(mcpcred *client, const mcpcred_webhook *webhook, int *ret_valid)
{
        const VerifyWebhookRequest request = { .secret = webhook->secret,
                                               .scheme = (uint32_t)webhook->scheme,
                                               .signature = webhook->signature,
                                               .timestamp = webhook->timestamp };
        _cleanup_(fd_closep) int ours = -1;
        _cleanup_(fd_closep) int theirs = -1;
        int pair[2], valid = 0, r;
        Call call = { CALL(BROKER_VERIFY_WEBHOOK), .request = &request, .reply = keep_valid, .userdata = &valid };

        client_clear_error(client);
        if (!webhook->secret || !webhook->signature || !webhook->body ||
            (webhook->scheme == MCPCRED_WEBHOOK_GITGUARDIAN) != (webhook->timestamp != NULL))
                return client_fail(client, MCPCRED_E_MISUSE, "Key, signature or body is missing, or the timestamp, which "
                                                             "belongs to GitGuardian's signatures.");
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return client_fail_errno(client, error_errno(), "make a socket for the body");
        ours = pair[0];
        theirs = pair[1];
        if (shutdown(theirs, SHUT_WR) < 0)
                return client_fail_errno(client, error_errno(), "make a socket for the body");
        call.request_fd = theirs;
        call.body_fd = ours;
        call.body = slice(webhook->body, webhook->size);
        r = call_run(client, &call);
        if (r == 0)
                *ret_valid = valid;
        return r;
}
