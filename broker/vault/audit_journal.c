/*
 * The audit log's lines as entries of the system's journal, and the chain's head with each of them: where there is a
 * journal, what is in it is out of reach of the user's own account. It follows the log as a watcher does, one entry
 * under way at a time. A journal that takes nothing costs the entries, and nothing waits for it.
 */
#include "base/text.h"
#include "vault/vault.h"
#include <stdio.h>

/* A journal that is not there is looked for again after this long, at the next line. */
#define ABSENT_USEC (60 * USEC_PER_SEC)
/* Entries of the head alone: beside one at each start and one for each new file. */
#define HEAD_USEC  (600 * USEC_PER_SEC)
#define HEAD_LINES 1000U
#define SEND_USEC  (10 * USEC_PER_SEC)
#define FIELDS_MAX 16U

#define PRIORITY_WARNING 4U
#define PRIORITY_NOTICE  5U
#define PRIORITY_INFO    6U

#define MESSAGE_ID_HEAD "ca146ae7c70b411f8ac843c3eaaf6f9e"

/* By the first word of the operation; mcpcredd(8) lists them. */
static const struct {
        const char *kind, *id;
} message_ids[] = {
        { "session", "6ad07b74fb334670931ab14037c591c1" }, { "token", "43eb80425e0446e98376ff12d3009da1" },
        { "lease", "8528289ff1e047cdac1447e4cc65758a" },   { "secret", "53d0b348e732401581831ba10f2a3905" },
        { "proxy", "df4d9807be8b4c549390f5501ae424ac" },   { "leak", "6fdbbf4265e046cfa008659af8e0ba5d" },
};
#define MESSAGE_ID_OTHER "e8af8ff413b34ba6b02a8ec6a1ce6ae7"

struct AuditJournal {
        Vault *vault;
        AuditCursor cursor;
        Call *under_way;
        uint64_t quiet_until; /* boot clock: nothing is sent before */
        bool wants_head;      /* before the next line */
        uint64_t head_at;     /* boot clock of the last entry of the head */
        uint64_t head_sequence;
        uint64_t file;        /* first sequence of the file that is written to */
        Request *finishing;   /* is answered when nothing is left to send */
};

static const char *message_id(const char *operation)
{
        size_t n = strcspn(operation, ".");

        for (size_t i = 0; i < ARRAY_SIZE(message_ids); i++)
                if (strlen(message_ids[i].kind) == n && strncmp(message_ids[i].kind, operation, n) == 0)
                        return message_ids[i].id;
        return MESSAGE_ID_OTHER;
}

/* Behind what could not be told: the journal has a gap there, and the log has not. */
static int skip_to_end(AuditJournal *journal)
{
        char head[AUDIT_HASH_HEX_SIZE];
        uint64_t sequence;
        int r = audit_head(journal->vault->audit, &sequence, head);

        if (r == 0)
                journal->cursor = (AuditCursor){ .next = sequence + 1 };
        return r < 0 ? r : 0;
}

static int finished(AuditJournal *journal)
{
        Request *request = journal->finishing;
        const Empty reply = { 0 };

        journal->finishing = NULL;
        return request ? request_reply(request, &reply, NULL, 0) : 0;
}

static int on_sent(void *userdata, const Reply *reply)
{
        AuditJournal *journal = userdata;
        const JournalReply *body = reply->body;

        journal->under_way = NULL;
        if (reply->fault == FAULT_NONE && body->taken)
                return audit_journal_wake(journal);
        journal->quiet_until = vault_boot(journal->vault) + ABSENT_USEC;
        journal->wants_head = true;
        return finished(journal);
}

static int send(AuditJournal *journal, const JournalRequest *entry)
{
        return channel_call(journal->vault->role.supervisor, VAULT_JOURNAL, entry, NULL, 0, SEND_USEC, on_sent, journal,
                            &journal->under_way);
}

static void add_field(JournalRequest *entry, const char *name, const char *value)
{
        if (value && entry->fields.n < FIELDS_MAX && strlen(value) <= 2 * LIMIT_TEXT)
                entry->fields.items[entry->fields.n++] = (TextPair){ name, value };
}

/* ---- the head ---- */

static bool head_is_due(const AuditJournal *journal, uint64_t now)
{
        return journal->wants_head || journal->file != audit_file_start(journal->vault->audit) ||
               (journal->cursor.next > journal->head_sequence + 1 && now - journal->head_at >= HEAD_USEC) ||
               journal->cursor.next > journal->head_sequence + HEAD_LINES;
}

static int send_head(AuditJournal *journal, uint64_t now)
{
        TextPair fields[FIELDS_MAX];
        char message[128], number[24], hash[AUDIT_HASH_HEX_SIZE];
        JournalRequest entry = { .message = message, .priority = PRIORITY_INFO, .fields.items = fields };
        uint64_t sequence;
        int r = audit_head(journal->vault->audit, &sequence, hash);

        if (r < 0)
                return r;
        if (r > 0) { /* the state cannot be read now */
                journal->quiet_until = now + ABSENT_USEC;
                return finished(journal);
        }
        (void)snprintf(message, sizeof(message), "The audit log ends at line %llu: %.64s", (unsigned long long)sequence, hash);
        (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)sequence);
        add_field(&entry, "MESSAGE_ID", MESSAGE_ID_HEAD);
        add_field(&entry, "MCPCRED_SEQUENCE", number);
        add_field(&entry, "MCPCRED_HASH", hash);
        add_field(&entry, "MCPCRED_STATE", journal->vault->state_directory);
        journal->wants_head = false;
        journal->head_at = now;
        journal->head_sequence = sequence;
        journal->file = audit_file_start(journal->vault->audit);
        return send(journal, &entry);
}

/* ---- a line ---- */

static void write_message(const AuditFields *fields, char *out, size_t size)
{
        (void)snprintf(out, size, "%s: %s%s%s%s%s%s%s", fields->operation, fields->verdict,
                       fields->session ? ", session " : "", fields->session ? fields->session : "",
                       fields->profile ? ", profile " : "", fields->profile ? fields->profile : "",
                       fields->reason ? ", " : "", fields->reason ? fields->reason : "");
        text_mend_end(out);
}

static int send_line(AuditJournal *journal, Slice line, const AuditFields *fields)
{
        uint8_t prev[AUDIT_HASH_SIZE], hash[AUDIT_HASH_SIZE];
        TextPair items[FIELDS_MAX];
        char message[2 * LIMIT_TEXT], number[24], hex[AUDIT_HASH_HEX_SIZE];
        bool allowed = strcmp(fields->verdict, audit_verdict_names[AUDIT_ALLOW]) == 0;
        JournalRequest entry = {
                .message = message,
                .priority = strncmp(fields->operation, "leak", 4) == 0 ? PRIORITY_WARNING
                            : allowed                                  ? PRIORITY_INFO
                                                                       : PRIORITY_NOTICE,
                .fields.items = items,
        };
        uint64_t sequence;

        if (audit_line_parse(line, &sequence, prev, hash))
                return 0;
        write_message(fields, message, sizeof(message));
        (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)sequence);
        text_hex(slice(hash, sizeof(hash)), hex);
        add_field(&entry, "MESSAGE_ID", message_id(fields->operation));
        add_field(&entry, "MCPCRED_SEQUENCE", number);
        add_field(&entry, "MCPCRED_HASH", hex);
        add_field(&entry, "MCPCRED_STATE", journal->vault->state_directory);
        add_field(&entry, "MCPCRED_OPERATION", fields->operation);
        add_field(&entry, "MCPCRED_VERDICT", fields->verdict);
        add_field(&entry, "MCPCRED_PRINCIPAL", fields->principal);
        add_field(&entry, "MCPCRED_SESSION", fields->session);
        add_field(&entry, "MCPCRED_PROFILE", fields->profile);
        add_field(&entry, "MCPCRED_SECRET", fields->secret);
        add_field(&entry, "MCPCRED_LEASE", fields->lease);
        add_field(&entry, "MCPCRED_REASON", fields->reason);
        add_field(&entry, "MCPCRED_TOKEN", fields->token);
        add_field(&entry, "MCPCRED_DETAIL", fields->detail);
        add_field(&entry, "MCPCRED_REQUEST", fields->request);
        return send(journal, &entry);
}

/* The next line that is one, or nothing. */
static int read_line(AuditJournal *journal, Buf *line)
{
        uint64_t lost;
        int r = audit_read(journal->vault->audit, &journal->cursor, 1, line, &lost);

        if (r == 0 && lost > 0)
                journal->wants_head = true;
        return r < 0 && r != -ENOMEM ? 0 : r;
}

int audit_journal_wake(AuditJournal *journal)
{
        uint64_t now = vault_boot(journal->vault);
        int r = 0;

        if (now < journal->quiet_until || !journal->vault->role.supervisor)
                return 0;
        if (journal->quiet_until > 0) {
                journal->quiet_until = 0;
                r = skip_to_end(journal);
        }
        while (r == 0 && !journal->under_way && journal->quiet_until == 0) {
                _cleanup_(buf_deinit) Buf line = BUF_NULL(AUDIT_LINE_MAX);
                _cleanup_(pool_deinit) Pool pool = POOL_NULL(4U * AUDIT_LINE_MAX);
                AuditFields fields;
                Slice text;

                if (head_is_due(journal, now)) {
                        r = send_head(journal, now);
                        continue;
                }
                r = read_line(journal, &line);
                if (r || line.size == 0)
                        break;
                text = slice(line.data, line.size - 1);
                if (audit_line_read(text, &pool, &fields) == 0)
                        r = send_line(journal, text, &fields);
        }
        if (r < 0)
                return r;
        return journal->under_way || journal->quiet_until > 0 ? 0 : finished(journal);
}

int audit_journal_finish(AuditJournal *journal, Request *request)
{
        int r = 0;

        journal->finishing = request;
        journal->wants_head = true;
        if (journal->quiet_until > 0) { /* once more, since there is no later */
                journal->quiet_until = 0;
                r = skip_to_end(journal);
        }
        return r < 0 ? r : audit_journal_wake(journal);
}

/* ---- the object ---- */

int audit_journal_new(AuditJournal **ret, Vault *vault)
{
        AuditJournal *journal = calloc(1, sizeof(*journal));
        int r;

        if (!journal)
                return -ENOMEM;
        journal->vault = vault;
        journal->wants_head = true;
        r = skip_to_end(journal);
        if (r < 0) {
                free(journal);
                return r;
        }
        *ret = journal;
        return 0;
}

AuditJournal *audit_journal_free(AuditJournal *journal)
{
        if (journal && journal->under_way)
                call_cancel(journal->under_way);
        if (journal && journal->finishing && request_fail(journal->finishing, FAULT_UNAVAILABLE, NULL) < 0)
                journal->finishing = NULL; /* nobody hears it: it frees the request */
        free(journal);
        return NULL;
}
