#include "vault/audit.h"
#include "base/text.h"
#include "vault/audit_log.h"
#include "vault/rows_meta.h"
#include "vault/rows_outbox.h"
#include <stdio.h>

#define WINDOW_USEC (60 * USEC_PER_SEC)
/* Principals and sessions whose denials are counted at once; with more, the oldest is written. */
#define WINDOWS_MAX       64U
#define SESSION_TEXT_SIZE 65U

/* The denials of one principal in one session within a minute. */
typedef struct Window {
        bool used;
        bool has_principal;
        uint64_t principal;
        char session[SESSION_TEXT_SIZE];
        uint64_t opened; /* boot clock */
        uint64_t written;
        uint64_t counted; /* beyond what was written */
} Window;

struct Audit {
        Db *db;
        const Clock *clock;
        AuditLog log;
        int store_error; /* of the last attempt to add a line: DB_E_* or -errno */
        char state[256];
        Window windows[WINDOWS_MAX];
};

/* ---- the chain in the state ---- */

static int read_head(Db *db, uint64_t *ret_sequence, uint8_t hash[AUDIT_HASH_SIZE])
{
        int r = rows_meta_get_u64(db, META_AUDIT_SEQUENCE, ret_sequence);

        if (r == DB_E_NOT_FOUND) {
                *ret_sequence = 0;
                memset(hash, 0, AUDIT_HASH_SIZE);
                return 0;
        }
        if (r)
                return r;
        r = rows_meta_get_bytes(db, META_AUDIT_HEAD, hash, AUDIT_HASH_SIZE);
        return r == DB_E_NOT_FOUND ? DB_E_DAMAGED : r;
}

static int write_head(Db *db, uint64_t sequence, const uint8_t hash[AUDIT_HASH_SIZE])
{
        int r = rows_meta_set_u64(db, META_AUDIT_SEQUENCE, sequence);

        return r ? r : rows_meta_set_bytes(db, META_AUDIT_HEAD, slice(hash, AUDIT_HASH_SIZE));
}

static int add_line(Audit *audit, AuditEvent *event)
{
        _cleanup_(buf_deinit) Buf line = BUF_NULL(AUDIT_LINE_MAX);
        uint8_t hash[AUDIT_HASH_SIZE];
        uint64_t sequence;
        int r = read_head(audit->db, &sequence, hash);

        if (r)
                return r;
        event->sequence = sequence + 1;
        event->time = clock_wall(audit->clock);
        r = audit_line_format(event, hash, hash, &line);
        if (r == 0)
                r = rows_outbox_insert(audit->db, event->sequence, buf_slice(&line));
        if (r == 0)
                r = write_head(audit->db, event->sequence, hash);
        return r;
}

/* In the caller's transaction, or one of its own. */
static int append_now(Audit *audit, AuditEvent *event)
{
        bool own = !db_in_transaction(audit->db);
        int r = own ? db_begin(audit->db) : 0;

        if (r == 0)
                r = add_line(audit, event);
        if (own && r == 0)
                r = db_commit(audit->db);
        else if (own)
                db_rollback(audit->db);
        audit->store_error = r;
        return r;
}

/* ---- denials ---- */

static bool window_is_of(const Window *window, const AuditEvent *event)
{
        return window->used && window->has_principal == event->has_principal &&
               window->principal == event->principal &&
               strncmp(window->session, event->session ? event->session : "",
                       SESSION_TEXT_SIZE - 1) == 0;
}

/* Writes what was counted, and frees the slot. */
static int window_close(Audit *audit, Window *window)
{
        char reason[96];
        AuditEvent event = {
                .has_principal = window->has_principal,
                .principal = window->principal,
                .session = window->session,
                .operation = "audit.denials",
                .verdict = AUDIT_DENY,
                .reason = reason,
        };
        int r = 0;

        if (window->counted > 0) {
                (void)snprintf(reason, sizeof(reason), "%llu further denials within a minute",
                               (unsigned long long)window->counted);
                r = append_now(audit, &event);
        }
        if (r == 0)
                window->used = false;
        return r;
}

static bool window_is_over(const Audit *audit, const Window *window)
{
        return window->used && clock_boot(audit->clock) - window->opened >= WINDOW_USEC;
}

/* A free slot; the oldest is closed if there is none. */
static int window_new(Audit *audit, Window **ret)
{
        Window *oldest = &audit->windows[0];
        int r;

        for (size_t i = 0; i < WINDOWS_MAX; i++) {
                Window *window = &audit->windows[i];

                if (!window->used || (window->counted == 0 && window_is_over(audit, window))) {
                        *ret = window;
                        return 0;
                }
                if (window->opened < oldest->opened)
                        oldest = window;
        }
        r = window_close(audit, oldest);
        if (r == 0)
                *ret = oldest;
        return r;
}

static int window_find(Audit *audit, const AuditEvent *event, Window **ret)
{
        Window *window = NULL;
        int r;

        for (size_t i = 0; i < WINDOWS_MAX && !window; i++)
                if (window_is_of(&audit->windows[i], event))
                        window = &audit->windows[i];
        if (window && !window_is_over(audit, window)) {
                *ret = window;
                return 0;
        }
        r = window ? window_close(audit, window) : window_new(audit, &window);
        if (r)
                return r;
        *window = (Window){
                .used = true,
                .has_principal = event->has_principal,
                .principal = event->principal,
                .opened = clock_boot(audit->clock),
        };
        (void)snprintf(window->session, sizeof(window->session), "%s",
                       event->session ? event->session : "");
        *ret = window;
        return 0;
}

int audit_append(Audit *audit, AuditEvent *event)
{
        Window *window;
        int r;

        if (event->verdict != AUDIT_DENY && !event->refusal)
                return append_now(audit, event);
        r = window_find(audit, event, &window);
        if (r)
                return r;
        if (window->written >= AUDIT_DENIALS_PER_MINUTE) {
                window->counted++;
                return 0;
        }
        r = append_now(audit, event);
        if (r == 0)
                window->written++;
        return r;
}

int audit_tick(Audit *audit, bool all)
{
        for (size_t i = 0; i < WINDOWS_MAX; i++) {
                Window *window = &audit->windows[i];
                int r = window->used && (all || window_is_over(audit, window))
                                ? window_close(audit, window)
                                : 0;

                if (r)
                        return r;
        }
        return 0;
}

uint64_t audit_next_tick(const Audit *audit)
{
        uint64_t next = UINT64_MAX;

        for (size_t i = 0; i < WINDOWS_MAX; i++)
                if (audit->windows[i].used && audit->windows[i].counted > 0)
                        next = MIN(next, audit->windows[i].opened + WINDOW_USEC);
        return next;
}

/* ---- the file ---- */

/* Keeps what was found over restarts, until a look at every line finds nothing. */
static int remember_tampered(Audit *audit)
{
        int r;

        if (audit->log.tampered[0])
                return rows_meta_set_text(audit->db, META_AUDIT_TAMPERED, audit->log.tampered);
        if (audit->log.verified)
                return rows_meta_unset(audit->db, META_AUDIT_TAMPERED);
        r = rows_meta_get_text(audit->db, META_AUDIT_TAMPERED, audit->log.tampered,
                               sizeof(audit->log.tampered));
        return r == DB_E_NOT_FOUND ? 0 : r;
}

static int attach(Audit *audit)
{
        uint8_t head[AUDIT_HASH_SIZE];
        uint64_t sequence;
        int before = audit->log.fd;
        bool was_tampered = audit->log.tampered[0] != '\0';
        int r = read_head(audit->db, &sequence, head);

        if (r == 0)
                r = audit_log_attach(&audit->log, audit->db, sequence, head);
        if (r || audit->log.fd < 0)
                return r;
        return before < 0 || was_tampered != (audit->log.tampered[0] != '\0')
                       ? remember_tampered(audit)
                       : 0;
}

/* After a failure: can the state be written again? */
static int probe_store(Audit *audit)
{
        uint8_t head[AUDIT_HASH_SIZE];
        uint64_t sequence;
        int r;

        if (!audit->store_error)
                return 0;
        r = read_head(audit->db, &sequence, head);
        if (r == 0)
                r = write_head(audit->db, sequence, head);
        audit->store_error = r;
        return r;
}

int audit_flush(Audit *audit)
{
        int r;

        if (db_in_transaction(audit->db))
                return -EBUSY;
        r = probe_store(audit);
        if (r)
                return r;
        r = attach(audit);
        if (r == 0)
                r = audit_log_write(&audit->log, audit->db);
        /* Only what was synced leaves the outbox. */
        if (r == 0 && audit->log.fd >= 0 && audit->log.error == 0)
                r = rows_outbox_remove(audit->db, audit->log.sequence);
        if (r)
                audit->store_error = r;
        return r;
}

int audit_new(Audit **ret, Db *db, const char *directory, const Clock *clock)
{
        _cleanup_(audit_freep) Audit *audit = calloc(1, sizeof(*audit));
        int r;

        if (!audit)
                return -ENOMEM;
        audit->db = db;
        audit->clock = clock;
        audit->log = AUDIT_LOG_NULL;
        r = audit_log_init(&audit->log, directory);
        if (r == 0)
                r = audit_flush(audit);
        if (r < 0 || r == DB_E_DAMAGED)
                return r;
        *ret = take_ptr(audit);
        return 0;
}

Audit *audit_free(Audit *audit)
{
        if (!audit)
                return NULL;
        audit_log_deinit(&audit->log);
        free(audit);
        return NULL;
}

/* ---- how it is ---- */

bool audit_ready(const Audit *audit)
{
        return audit->store_error == 0 && audit->log.error == 0 && audit->log.fd >= 0;
}

const char *audit_state(Audit *audit)
{
        char *state = audit->state;
        size_t size = sizeof(audit->state);

        if (audit->store_error > 0)
                (void)snprintf(state, size, "%s", db_strerror(audit->store_error));
        else if (audit->store_error < 0)
                (void)snprintf(state, size, "the state cannot be written: %s",
                               strerrordesc_np(-audit->store_error));
        else if (audit->log.error < 0)
                (void)snprintf(state, size, "the log cannot be written: %s",
                               strerrordesc_np(-audit->log.error));
        else if (audit->log.tampered[0])
                (void)snprintf(state, size, "tampered: %s", audit->log.tampered);
        else
                (void)snprintf(state, size, "ready");
        return state;
}

const char *audit_path(const Audit *audit)
{
        return audit->log.path;
}

int audit_head(Audit *audit, uint64_t *ret_sequence, char ret_hash[AUDIT_HASH_HEX_SIZE])
{
        uint8_t hash[AUDIT_HASH_SIZE];
        uint64_t sequence;
        int r = read_head(audit->db, &sequence, hash);

        if (r)
                return r;
        text_hex(slice(hash, sizeof(hash)), ret_hash);
        *ret_sequence = sequence;
        return 0;
}
