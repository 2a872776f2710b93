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
        uint64_t max_size, keep;
        int store_error; /* of the last attempt to add a line: DB_E_* or -errno */
        char state[256];
        Window windows[WINDOWS_MAX];
};

/* ---- the chain in the state ---- */

static int read_link(Db *db, const char *number, const char *hash, AuditLink *ret)
{
        int r = rows_meta_get_u64(db, number, &ret->sequence);

        if (r == DB_E_NOT_FOUND) {
                *ret = (AuditLink){ .sequence = 0 };
                return 0;
        }
        if (r)
                return r;
        r = rows_meta_get_bytes(db, hash, ret->hash, sizeof(ret->hash));
        return r == DB_E_NOT_FOUND ? DB_E_DAMAGED : r;
}

static int write_link(Db *db, const char *number, const char *hash, const AuditLink *link)
{
        int r = rows_meta_set_u64(db, number, link->sequence);

        return r ? r : rows_meta_set_bytes(db, hash, slice(link->hash, sizeof(link->hash)));
}

static int read_head(Db *db, AuditLink *ret)
{
        return read_link(db, META_AUDIT_SEQUENCE, META_AUDIT_HEAD, ret);
}

static int write_head(Db *db, const AuditLink *head)
{
        return write_link(db, META_AUDIT_SEQUENCE, META_AUDIT_HEAD, head);
}

static int read_base(Db *db, AuditLink *ret)
{
        return read_link(db, META_AUDIT_BASE, META_AUDIT_BASE_HEAD, ret);
}

static int add_line(Audit *audit, AuditEvent *event)
{
        _cleanup_(buf_deinit) Buf line = BUF_NULL(AUDIT_LINE_MAX);
        AuditLink head;
        int r = read_head(audit->db, &head);

        if (r)
                return r;
        event->sequence = ++head.sequence;
        event->time = clock_wall(audit->clock);
        r = audit_line_format(event, head.hash, head.hash, &line);
        if (r == 0)
                r = rows_outbox_insert(audit->db, event->sequence, buf_slice(&line));
        if (r == 0)
                r = write_head(audit->db, &head);
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

/* Keeps what was found over restarts, until a look at every line of the file that is written to finds nothing. What was
 * found in a former file stays until that is given up. */
static int remember_tampered(Audit *audit)
{
        int r;

        if (audit->log.tampered[0])
                return rows_meta_set_text(audit->db, META_AUDIT_TAMPERED, audit->log.tampered);
        r = rows_meta_get_text(audit->db, META_AUDIT_TAMPERED, audit->log.tampered,
                               sizeof(audit->log.tampered));
        if (r)
                return r == DB_E_NOT_FOUND ? 0 : r;
        if (!audit->log.verified || strncmp(audit->log.tampered, "line ", 5) != 0)
                return 0;
        audit->log.tampered[0] = '\0';
        return rows_meta_unset(audit->db, META_AUDIT_TAMPERED);
}

static int attach(Audit *audit)
{
        AuditLink head, base;
        int before = audit->log.fd;
        bool was_tampered = audit->log.tampered[0] != '\0';
        int r = read_head(audit->db, &head);

        if (r == 0)
                r = read_base(audit->db, &base);
        if (r == 0)
                r = audit_log_attach(&audit->log, audit->db, &head, &base);
        if (r || audit->log.fd < 0)
                return r;
        return before < 0 || was_tampered != (audit->log.tampered[0] != '\0')
                       ? remember_tampered(audit)
                       : 0;
}

/* ---- rotation ---- */

void audit_configure(Audit *audit, uint64_t max_size, uint64_t keep)
{
        audit->max_size = max_size;
        audit->keep = keep;
}

/* Durable before a file goes: what is missing then is missed by nobody. */
static int give_up(Audit *audit, const AuditLink *former, const AuditLink *base)
{
        char detail[96];
        AuditEvent event = { .operation = "audit.delete", .verdict = AUDIT_ALLOW, .reason = "audit_keep", .detail = detail };
        int r = db_begin(audit->db);

        (void)snprintf(detail, sizeof(detail), "lines %llu to %llu", (unsigned long long)former->sequence + 1,
                       (unsigned long long)base->sequence);
        if (r == 0)
                r = write_link(audit->db, META_AUDIT_BASE, META_AUDIT_BASE_HEAD, base);
        if (r == 0)
                r = add_line(audit, &event);
        if (r == 0)
                r = db_commit(audit->db);
        if (r)
                db_rollback(audit->db);
        return r;
}

/* What was found in a file that is gone concerns nobody any more. */
static int forget_tampered(Audit *audit, const AuditLink *base)
{
        static const char prefix[] = AUDIT_FILE_NAME ".";
        const char *number = audit->log.tampered + sizeof(prefix) - 1;

        if (strncmp(audit->log.tampered, prefix, sizeof(prefix) - 1) != 0 || *number < '1' || *number > '9' ||
            strtoull(number, NULL, 10) > base->sequence)
                return 0;
        audit->log.tampered[0] = '\0';
        return rows_meta_unset(audit->db, META_AUDIT_TAMPERED);
}

static int drop_oldest(Audit *audit)
{
        AuditLink former, base;
        int r;

        if (audit->keep == 0 || !audit_log_excess(&audit->log, audit->keep, &base))
                return 0;
        r = read_base(audit->db, &former);
        if (r == 0 && base.sequence > former.sequence)
                r = give_up(audit, &former, &base);
        if (r)
                return r;
        audit_log_remove(&audit->log, &base);
        return forget_tampered(audit, &base);
}

static int rotate(Audit *audit, bool *ret_rotated)
{
        int r = 0;

        *ret_rotated = audit->max_size > 0 && audit->log.size >= audit->max_size && audit_log_rotate(&audit->log);
        if (!*ret_rotated)
                return 0;
        if (audit->log.tampered[0])
                r = rows_meta_set_text(audit->db, META_AUDIT_TAMPERED, audit->log.tampered);
        return r ? r : drop_oldest(audit);
}

/* After a failure: can the state be written again? */
static int probe_store(Audit *audit)
{
        AuditLink head;
        int r;

        if (!audit->store_error)
                return 0;
        r = read_head(audit->db, &head);
        if (r == 0)
                r = write_head(audit->db, &head);
        audit->store_error = r;
        return r;
}

static int write_out(Audit *audit)
{
        int r = attach(audit);

        if (r == 0)
                r = audit_log_write(&audit->log, audit->db);
        /* Only what was synced leaves the outbox. */
        if (r == 0 && audit->log.fd >= 0 && audit->log.error == 0)
                r = rows_outbox_remove(audit->db, audit->log.sequence);
        return r;
}

int audit_flush(Audit *audit)
{
        bool rotated = false;
        int r;

        if (db_in_transaction(audit->db))
                return -EBUSY;
        r = probe_store(audit);
        if (r)
                return r;
        r = write_out(audit);
        if (r == 0)
                r = rotate(audit, &rotated);
        if (r == 0 && rotated)
                r = write_out(audit); /* the line about it */
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

static int tell(int r, const AuditLink *link, uint64_t *ret_sequence, char ret_hash[AUDIT_HASH_HEX_SIZE])
{
        if (r)
                return r;
        text_hex(slice(link->hash, sizeof(link->hash)), ret_hash);
        *ret_sequence = link->sequence;
        return 0;
}

int audit_head(Audit *audit, uint64_t *ret_sequence, char ret_hash[AUDIT_HASH_HEX_SIZE])
{
        AuditLink head;
        int r = read_head(audit->db, &head);

        return tell(r, &head, ret_sequence, ret_hash);
}

int audit_gap(Audit *audit, bool *ret, char ret_file[AUDIT_FILE_NAME_SIZE])
{
        AuditLink base;
        int r = read_base(audit->db, &base);

        *ret = r == 0 && audit_log_gap(&audit->log, &base, ret_file);
        return r;
}

int audit_base(Audit *audit, uint64_t *ret_sequence, char ret_hash[AUDIT_HASH_HEX_SIZE])
{
        AuditLink base;
        int r = read_base(audit->db, &base);

        return tell(r, &base, ret_sequence, ret_hash);
}

uint64_t audit_file_start(const Audit *audit)
{
        return audit->log.before.sequence + 1;
}

int audit_read(Audit *audit, AuditCursor *cursor, size_t max, Buf *out, uint64_t *ret_lost)
{
        size_t size = out->size;
        uint64_t found;
        int r = 0;

        *ret_lost = 0;
        if (db_in_transaction(audit->db))
                return -EBUSY;
        if (cursor->next <= audit->log.sequence) {
                r = audit_log_read(&audit->log, cursor, max, out, ret_lost);
                if (r || out->size > size)
                        return r;
        }
        /* What is not in the file yet. */
        while (max-- > 0 && (r = rows_outbox_next(audit->db, cursor->next - 1, &found, out)) == 0) {
                *ret_lost += size == out->size ? found - cursor->next : 0;
                cursor->next = found + 1;
        }
        return r == DB_E_NOT_FOUND || (r == DB_E_NO_SPACE && out->size > size) ? 0 : r;
}
