/*
 * Watch: each line of the audit log, as it is written. What a watcher has not read yet is in the log's files and
 * nowhere else: one that is slow holds up nobody and costs no memory, and misses nothing as long as those are kept.
 * One page is under way at a time; the next one is read when the gate says that the client took it.
 */
#include "base/text.h"
#include "vault/vault.h"

/* Of one user, and of all. Each is a connection of the gate too. */
#define WATCHERS_PER_UID 32U
#define WATCHERS_MAX 64U
/* Bytes of lines in one reply; with what is around them it stays below a message of the gate's. */
#define WATCH_PAGE_SIZE (3U * AUDIT_LINE_MAX)

typedef struct Watcher {
        List link;
        Watchers *watchers;
        Request *request;
        AuditCursor cursor;
        uint64_t uid;
        bool under_way; /* a page is, that the client has not taken yet */
} Watcher;

struct Watchers {
        Vault *vault;
        List list; /* Watcher */
        size_t n;
};

static void watcher_free(Watcher *watcher)
{
        list_remove(&watcher->link);
        watcher->watchers->n--;
        free(watcher);
}

/* Ends it with an error, after which the client can come again. */
static int watcher_fail(Watcher *watcher, Fault fault, const char *message)
{
        Request *request = watcher->request;

        watcher_free(watcher);
        return request_fail(request, fault, message);
}

/* ---- a page ---- */

/* Texts that were cut at their length in the log can be longer without their escapes. */
static const char *fit(const char *text, Pool *pool)
{
        char cut[LIMIT_TEXT + 1];
        const char *kept = NULL;

        if (!text || strlen(text) <= LIMIT_TEXT)
                return text;
        memcpy(cut, text, LIMIT_TEXT);
        cut[LIMIT_TEXT] = '\0';
        text_mend_end(cut);
        return pool_text(pool, slice_text(cut), &kept) == 0 ? kept : NULL;
}

static int read_event(Slice line, Pool *pool, WatchEvent *ret)
{
        AuditFields fields;
        int r = audit_line_read(line, pool, &fields);

        if (r)
                return r;
        *ret = (WatchEvent){
                .sequence = fields.sequence,
                .time = fields.time,
                .request = fit(fields.request, pool),
                .principal = fields.principal,
                .session = fit(fields.session, pool),
                .profile = fit(fields.profile, pool),
                .secret = fit(fields.secret, pool),
                .lease = fit(fields.lease, pool),
                .operation = fit(fields.operation, pool),
                .verdict = fields.verdict,
                .reason = fit(fields.reason, pool),
                .token = fit(fields.token, pool),
                .detail = fit(fields.detail, pool),
        };
        /* Whoever edits the file can make the hash fit: what the schema does not take is none of our lines. */
        return !ret->operation || strlen(ret->verdict) > LIMIT_NAME || (ret->principal && strlen(ret->principal) > 20)
                       ? AUDIT_LINE_E_INVALID
                       : 0;
}

static int send_page(Watcher *watcher, Slice lines, uint64_t lost)
{
        Pool pool = POOL_NULL(4U * WATCH_PAGE_SIZE);
        WatchEvent events[LIMIT_PAGE];
        WatchReply reply = { .events.items = events, .lost = lost };
        const uint8_t *newline;
        int r = 0;

        while (r >= 0 && lines.size > 0 && reply.events.n < LIMIT_PAGE && (newline = memchr(lines.data, '\n', lines.size))) {
                size_t size = (size_t)(newline - lines.data);

                r = read_event(slice(lines.data, size), &pool, &events[reply.events.n]);
                if (r == 0)
                        reply.events.n++;
                else if (r > 0)
                        reply.lost++;
                lines = slice(newline + 1, lines.size - size - 1);
        }
        if (r >= 0) {
                watcher->under_way = true;
                r = request_reply_more(watcher->request, &reply);
        }
        pool_deinit(&pool);
        return r;
}

/* Sends what there is, if the client is ready for it. The watcher may be gone afterwards. */
static int watcher_run(Watcher *watcher)
{
        _cleanup_(buf_deinit) Buf lines = BUF_NULL(WATCH_PAGE_SIZE);
        Vault *vault = watcher->watchers->vault;
        uint64_t lost = 0;
        int r;

        if (watcher->under_way)
                return 0;
        r = audit_read(vault->audit, &watcher->cursor, LIMIT_PAGE, &lines, &lost);
        if (r == -ENOMEM)
                return r;
        if (r) {
                role_log(&vault->role, LOG_LEVEL_ERROR, "watch: the log cannot be read: %s",
                         r > 0 ? db_strerror(r) : strerrordesc_np(-r));
                return watcher_fail(watcher, FAULT_UNAVAILABLE, "The audit log cannot be read.");
        }
        return lines.size > 0 || lost > 0 ? send_page(watcher, buf_slice(&lines), lost) : 0;
}

int watchers_wake(Watchers *watchers)
{
        int r = 0;

        LIST_FOREACH(node, &watchers->list) {
                int q = watcher_run(container_of(node, Watcher, link));

                r = r < 0 ? r : q;
        }
        return r;
}

static int on_signal(void *userdata, RequestSignal signal)
{
        Watcher *watcher = userdata;

        if (signal == REQUEST_GONE)
                return watcher_fail(watcher, FAULT_UNAVAILABLE, NULL); /* nobody hears it: it frees the request */
        watcher->under_way = false;
        return watcher_run(watcher);
}

/* ---- the start ---- */

static size_t count_of(const Watchers *watchers, uint64_t uid)
{
        size_t n = 0;

        LIST_FOREACH(node, &watchers->list)
                n += container_of(node, Watcher, link)->uid == uid;
        return n;
}

/* Where to begin; `since` 0: behind what there is. */
static bool find_start(Vault *vault, uint64_t since, uint64_t *ret_next, Failure *failure)
{
        char head[AUDIT_HASH_HEX_SIZE];
        uint64_t sequence;

        if (vault_db_failed(vault, audit_head(vault->audit, &sequence, head), failure))
                return false;
        if (since > sequence + 1) {
                failure_set(failure, FAULT_NOT_FOUND, "The audit log ends at line %llu.", (unsigned long long)sequence);
                return false;
        }
        *ret_next = since ? since : sequence + 1;
        return true;
}

static int begin(Vault *vault, Request *request, uint64_t next)
{
        const WatchRequest *body = request->body;
        Watchers *watchers = vault->watchers;
        Watcher *watcher = calloc(1, sizeof(*watcher));

        if (!watcher)
                return -ENOMEM;
        *watcher = (Watcher){ .watchers = watchers, .request = request, .cursor.next = next, .uid = body->caller->uid };
        list_init(&watcher->link);
        list_append(&watchers->list, &watcher->link);
        watchers->n++;
        request_on_signal(request, on_signal, watcher);
        /* So that the client knows that nothing is missed from here on. */
        return send_page(watcher, SLICE_NULL, 0);
}

int op_watch(Vault *vault, Request *request)
{
        const WatchRequest *body = request->body;
        Failure failure = { 0 };
        uint64_t next;

        if (!vault->watchers)
                failure_set(&failure, FAULT_UNAVAILABLE, "The broker is still starting.");
        else if (vault->watchers->n >= WATCHERS_MAX || count_of(vault->watchers, body->caller->uid) >= WATCHERS_PER_UID)
                failure_set(&failure, FAULT_BUSY, "Too many watch already: %u of one user, %u in all.", WATCHERS_PER_UID,
                            WATCHERS_MAX);
        else if (find_start(vault, body->since, &next, &failure))
                return begin(vault, request, next);
        return failure_answer(&failure, request);
}

int watchers_new(Watchers **ret, Vault *vault)
{
        Watchers *watchers = calloc(1, sizeof(*watchers));

        if (!watchers)
                return -ENOMEM;
        watchers->vault = vault;
        list_init(&watchers->list);
        *ret = watchers;
        return 0;
}

Watchers *watchers_free(Watchers *watchers)
{
        if (!watchers)
                return NULL;
        while (!list_empty(&watchers->list))
                (void)watcher_fail(container_of(watchers->list.next, Watcher, link), FAULT_UNAVAILABLE, NULL);
        free(watchers);
        return NULL;
}

/* ---- HashToken ---- */

int op_hash_token(Vault *vault, Request *request)
{
        const HashTokenRequest *body = request->body;
        char token[SEAL_AUDIT_HASH_SIZE];
        const HashTokenReply reply = { .token = token };

        if (!vault->seal)
                return vault->store.ready || !failed(&vault->store.problem)
                               ? request_fail(request, FAULT_UNAVAILABLE, "The store of secrets is being opened.")
                               : failure_answer(&vault->store.problem, request);
        if (seal_audit_hash_hex(vault->seal, body->token_hash, token))
                return request_fail(request, FAULT_INVALID_PARAMETER, "token_hash is a SHA-256 in hex.");
        return request_reply(request, &reply, NULL, 0);
}
