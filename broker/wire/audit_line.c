#include "wire/audit_line.h"
#include "base/text.h"
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#define READ_SIZE     65536U
#define NAME_TEXT_MAX 64U

_Static_assert(AUDIT_HASH_SIZE == crypto_hash_sha256_BYTES, "the chain is of SHA-256");

const char *const audit_verdict_names[] = { "allow", "deny", "error", NULL };
_Static_assert(ARRAY_SIZE(audit_verdict_names) == _AUDIT_VERDICT_N + 1, "one name a verdict");

static const char key_sequence[] = "{\"sequence\":";
static const char key_prev[] = ",\"prev\":\"";
static const char key_hash[] = "\",\"hash\":\"";
static const char line_end[] = "\"}";

#define LENGTH(literal) (sizeof(literal) - 1)
#define HEX_LENGTH      (AUDIT_HASH_HEX_SIZE - 1)
/* From key_prev on every line has the same length. */
#define TAIL_LENGTH                                                                                \
        (LENGTH(key_prev) + HEX_LENGTH + LENGTH(key_hash) + HEX_LENGTH + LENGTH(line_end))

/* ---- writing ---- */

static int append_character(Buf *out, const char *text, size_t size, uint32_t code)
{
        if (size == 0)
                return buf_append_text(out, "\\ufffd");
        if (text_is_control(code))
                return buf_printf(out, "\\u%04x", (unsigned)code);
        if (code == '"' || code == '\\')
                return buf_printf(out, "\\%c", (char)code);
        return buf_append(out, text, size);
}

int audit_line_append_text(Buf *out, const char *key, const char *text, size_t max)
{
        int r;

        if (!text || !*text)
                return 0;
        r = buf_printf(out, ",\"%s\":\"", key);
        for (size_t at = 0; r == 0 && text[at];) {
                uint32_t code = 0;
                size_t size = text_character(text + at, &code);

                if (at + MAX(size, (size_t)1) > max)
                        break;
                r = append_character(out, text + at, size, code);
                at += MAX(size, (size_t)1);
        }
        return r < 0 ? r : buf_append_u8(out, '"');
}

static int append_fields(Buf *out, const AuditEvent *event)
{
        const struct {
                const char *key, *text;
                size_t max;
        } before[] = {
                { "session", event->session, NAME_TEXT_MAX },
                { "profile", event->profile, NAME_TEXT_MAX },
                { "secret", event->secret, NAME_TEXT_MAX },
                { "lease", event->lease, NAME_TEXT_MAX },
                { "operation", event->operation, NAME_TEXT_MAX },
                { "verdict", audit_verdict_names[event->verdict], NAME_TEXT_MAX },
                { "reason", event->reason, AUDIT_TEXT_MAX },
                { "token", event->token, NAME_TEXT_MAX },
                { "detail", event->detail, AUDIT_TEXT_MAX },
        };
        int r = audit_line_append_text(out, "request", event->request, NAME_TEXT_MAX);

        if (r == 0 && event->has_principal)
                r = buf_printf(out, ",\"principal\":%llu", (unsigned long long)event->principal);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(before); i++)
                r = audit_line_append_text(out, before[i].key, before[i].text, before[i].max);
        return r;
}

static void chain(const uint8_t prev[AUDIT_HASH_SIZE], Slice body, uint8_t hash[AUDIT_HASH_SIZE])
{
        crypto_hash_sha256_state state;

        (void)crypto_hash_sha256_init(&state);
        (void)crypto_hash_sha256_update(&state, prev, AUDIT_HASH_SIZE);
        (void)crypto_hash_sha256_update(&state, body.data, body.size);
        (void)crypto_hash_sha256_update(&state, (const uint8_t *)line_end, LENGTH(line_end));
        (void)crypto_hash_sha256_final(&state, hash);
}

static int format_line(const AuditEvent *event, const uint8_t prev[AUDIT_HASH_SIZE],
                       uint8_t hash[AUDIT_HASH_SIZE], Buf *line)
{
        char time[TEXT_TIME_USEC_SIZE], hex[AUDIT_HASH_HEX_SIZE];
        int r;

        text_time_usec(event->time, time);
        text_hex(slice(prev, AUDIT_HASH_SIZE), hex);
        r = buf_printf(line, "%s%llu,\"time\":\"%s\"", key_sequence,
                       (unsigned long long)event->sequence, time);
        if (r == 0)
                r = append_fields(line, event);
        if (r == 0)
                r = buf_printf(line, "%s%s", key_prev, hex);
        if (r < 0)
                return r;
        chain(prev, buf_slice(line), hash);
        text_hex(slice(hash, AUDIT_HASH_SIZE), hex);
        return buf_printf(line, "%s%s%s\n", key_hash, hex, line_end);
}

int audit_line_format(const AuditEvent *event, const uint8_t prev[AUDIT_HASH_SIZE],
                      uint8_t hash[AUDIT_HASH_SIZE], Buf *out)
{
        _cleanup_(buf_deinit) Buf line = BUF_NULL(AUDIT_LINE_MAX);
        uint8_t next[AUDIT_HASH_SIZE];
        int r;

        if ((unsigned)event->verdict >= _AUDIT_VERDICT_N)
                return -EINVAL;
        r = format_line(event, prev, next, &line);
        if (r == 0)
                r = buf_append(out, line.data, line.size);
        if (r == 0)
                memcpy(hash, next, AUDIT_HASH_SIZE);
        return r;
}

/* ---- reading ---- */

static bool take_literal(Slice *at, const char *literal, size_t size)
{
        if (at->size < size || memcmp(at->data, literal, size) != 0)
                return false;
        *at = slice(at->data + size, at->size - size);
        return true;
}

static bool take_hex(Slice *at, uint8_t out[AUDIT_HASH_SIZE])
{
        char hex[AUDIT_HASH_HEX_SIZE];

        if (at->size < HEX_LENGTH)
                return false;
        memcpy(hex, at->data, HEX_LENGTH);
        hex[HEX_LENGTH] = '\0';
        *at = slice(at->data + HEX_LENGTH, at->size - HEX_LENGTH);
        return text_unhex(hex, out, AUDIT_HASH_SIZE) == 0;
}

/* Decimal, without a leading zero, up to the comma behind it. */
static bool take_sequence(Slice at, uint64_t *ret)
{
        char digits[21];
        size_t n = 0;

        while (n < at.size && n < sizeof(digits) && at.data[n] >= '0' && at.data[n] <= '9')
                n++;
        if (n == 0 || n == at.size || n >= sizeof(digits) || at.data[n] != ',' || at.data[0] == '0')
                return false;
        memcpy(digits, at.data, n);
        digits[n] = '\0';
        return text_parse_u64(digits, ret) == 0;
}

int audit_line_parse(Slice line, uint64_t *ret_sequence, uint8_t ret_prev[AUDIT_HASH_SIZE],
                     uint8_t ret_hash[AUDIT_HASH_SIZE])
{
        uint8_t prev[AUDIT_HASH_SIZE], hash[AUDIT_HASH_SIZE], computed[AUDIT_HASH_SIZE];
        Slice head = line, tail;
        uint64_t sequence;

        if (line.size > AUDIT_LINE_MAX || !text_is_utf8(line) ||
            !take_literal(&head, key_sequence, LENGTH(key_sequence)) ||
            !take_sequence(head, &sequence) || head.size < TAIL_LENGTH)
                return AUDIT_LINE_E_INVALID;
        tail = slice(line.data + (line.size - TAIL_LENGTH), TAIL_LENGTH);
        if (!take_literal(&tail, key_prev, LENGTH(key_prev)) || !take_hex(&tail, prev) ||
            !take_literal(&tail, key_hash, LENGTH(key_hash)) || !take_hex(&tail, hash) ||
            !take_literal(&tail, line_end, LENGTH(line_end)))
                return AUDIT_LINE_E_INVALID;
        chain(prev, slice(line.data, line.size - LENGTH(key_hash) - HEX_LENGTH - LENGTH(line_end)),
              computed);
        if (memcmp(computed, hash, sizeof(hash)) != 0)
                return AUDIT_LINE_E_HASH;
        *ret_sequence = sequence;
        memcpy(ret_prev, prev, sizeof(prev));
        memcpy(ret_hash, hash, sizeof(hash));
        return 0;
}

static void report_bad(AuditReport *report, const char *reason)
{
        report->bad_line = report->lines + 1;
        report->reason = reason;
}

static void report_line(AuditReport *report, Slice line)
{
        uint8_t prev[AUDIT_HASH_SIZE], hash[AUDIT_HASH_SIZE];
        uint64_t sequence;
        int r = audit_line_parse(line, &sequence, prev, hash);

        if (r == 0 && report->unknown) {
                report->unknown = false;
                report->sequence = sequence - 1;
                memcpy(report->head, prev, sizeof(prev));
        }
        if (r == AUDIT_LINE_E_HASH)
                report_bad(report, "it was edited");
        else if (r)
                report_bad(report, "it is not a line of this log");
        else if (sequence <= report->sequence)
                report_bad(report, "it is repeated or out of order");
        else if (sequence != report->sequence + 1)
                report_bad(report, "lines are missing before it");
        else if (memcmp(prev, report->head, sizeof(prev)) != 0)
                report_bad(report, "it does not follow from the line before");
        if (report->bad_line)
                return;
        report->lines++;
        report->sequence = sequence;
        memcpy(report->head, hash, sizeof(hash));
        if (report->seen)
                report->seen(report->userdata, sequence, hash);
}

/* Takes whole lines off the buffer. */
static void report_lines(AuditReport *report, Buf *buf)
{
        Slice left = buf_slice(buf);
        const uint8_t *newline;

        while (!report->bad_line && left.size > 0 &&
               (newline = memchr(left.data, '\n', left.size))) {
                size_t size = (size_t)(newline - left.data);

                report_line(report, slice(left.data, size));
                left = slice(newline + 1, left.size - size - 1);
        }
        buf_consume(buf, buf->size - left.size);
        if (!report->bad_line && buf->size > AUDIT_LINE_MAX)
                report_bad(report, "it is too long for a line of this log");
}

int audit_verify_file(int fd, AuditReport *report)
{
        _cleanup_(buf_deinit) Buf buf = BUF_NULL(READ_SIZE + AUDIT_LINE_MAX);

        report->lines = report->bad_line = 0;
        report->reason = NULL;
        while (!report->bad_line) {
                uint8_t *room;
                ssize_t n;
                int r = buf_reserve(&buf, READ_SIZE, &room);

                if (r < 0)
                        return r;
                n = read(fd, room, READ_SIZE);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_errno();
                if (n == 0)
                        break;
                buf_commit(&buf, (size_t)n);
                report_lines(report, &buf);
        }
        if (!report->bad_line && buf.size > 0)
                report_bad(report, "it is cut short");
        return 0;
}

void audit_report_expect(AuditReport *report, uint64_t sequence,
                         const uint8_t head[AUDIT_HASH_SIZE])
{
        uint64_t before = report->sequence - report->lines; /* one line a sequence */

        if (report->bad_line)
                return;
        if (report->sequence < sequence) {
                report_bad(report, "lines are missing at the end");
        } else if (report->sequence > sequence) {
                report_bad(report, "it was not written by this broker's state");
                report->bad_line = sequence > before ? sequence - before + 1 : 1;
        } else if (memcmp(report->head, head, AUDIT_HASH_SIZE) != 0) {
                report_bad(report, "the log from here on was written anew");
                report->bad_line = 1;
        }
}

/* ---- what a line says ---- */

static bool take_char(Slice *at, uint8_t c)
{
        if (at->size == 0 || at->data[0] != c)
                return false;
        *at = slice(at->data + 1, at->size - 1);
        return true;
}

static int hex_digit(uint8_t c)
{
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Behind "\\u": four digits of the writer's, into UTF-8. It writes no surrogates. */
static int take_escape(Slice *at, Buf *out)
{
        unsigned code = 0;

        if (at->size < 4)
                return AUDIT_LINE_E_INVALID;
        for (size_t i = 0; i < 4; i++) {
                int digit = hex_digit(at->data[i]);

                if (digit < 0)
                        return AUDIT_LINE_E_INVALID;
                code = code << 4 | (unsigned)digit;
        }
        *at = slice(at->data + 4, at->size - 4);
        if (code == 0 || (code >= 0xd800 && code <= 0xdfff))
                return AUDIT_LINE_E_INVALID;
        if (code < 0x80)
                return buf_append_u8(out, (uint8_t)code);
        if (code < 0x800)
                return buf_append(out, (uint8_t[]){ (uint8_t)(0xc0 | code >> 6), (uint8_t)(0x80 | (code & 0x3f)) }, 2);
        return buf_append(out, (uint8_t[]){ (uint8_t)(0xe0 | code >> 12), (uint8_t)(0x80 | (code >> 6 & 0x3f)),
                                            (uint8_t)(0x80 | (code & 0x3f)) }, 3);
}

/* A text in quotation marks, or a number, as text. */
static int take_value(Slice *at, Buf *out)
{
        int r = 0;

        if (!take_char(at, '"')) {
                while (r == 0 && at->size > 0 && at->data[0] >= '0' && at->data[0] <= '9') {
                        r = buf_append_u8(out, at->data[0]);
                        *at = slice(at->data + 1, at->size - 1);
                }
                return r < 0 ? r : out->size > 0 ? 0 : AUDIT_LINE_E_INVALID;
        }
        while (r == 0 && at->size > 0 && !take_char(at, '"')) {
                uint8_t c = at->data[0];

                if (!take_char(at, '\\')) {
                        r = c < 0x20 ? AUDIT_LINE_E_INVALID : buf_append_u8(out, c);
                        *at = slice(at->data + 1, at->size - 1);
                } else if (take_char(at, 'u'))
                        r = take_escape(at, out);
                else if (at->size > 0 && (at->data[0] == '"' || at->data[0] == '\\')) {
                        r = buf_append_u8(out, at->data[0]);
                        *at = slice(at->data + 1, at->size - 1);
                } else
                        r = AUDIT_LINE_E_INVALID;
                if (r == 0 && at->size == 0)
                        return AUDIT_LINE_E_INVALID; /* without its end */
        }
        return r;
}

/* `,"key":` */
static bool take_key(Slice *at, const char *key)
{
        size_t n = strlen(key);
        Slice rest = *at;

        if (!take_char(&rest, ',') || !take_char(&rest, '"') || !take_literal(&rest, key, n) ||
            !take_char(&rest, '"') || !take_char(&rest, ':'))
                return false;
        *at = rest;
        return true;
}

static int take_text(Slice *at, const char *key, Pool *pool, const char **ret)
{
        _cleanup_(buf_deinit) Buf text = BUF_NULL(AUDIT_LINE_MAX);
        int r;

        if (!take_key(at, key))
                return 0;
        r = take_value(at, &text);
        return r ? r : pool_text(pool, buf_slice(&text), ret);
}

int audit_line_read(Slice line, Pool *pool, AuditFields *ret)
{
        AuditFields fields = { 0 };
        const char *sequence = NULL, *time = NULL, *ignored = NULL;
        const struct {
                const char *key;
                const char **text;
        } keys[] = {
                { "time", &time },
                { "request", &fields.request },
                { "principal", &fields.principal },
                { "session", &fields.session },
                { "profile", &fields.profile },
                { "secret", &fields.secret },
                { "lease", &fields.lease },
                { "operation", &fields.operation },
                { "verdict", &fields.verdict },
                { "reason", &fields.reason },
                { "token", &fields.token },
                { "detail", &fields.detail },
                { "prev", &ignored },
                { "hash", &ignored },
        };
        _cleanup_(buf_deinit) Buf number = BUF_NULL(AUDIT_LINE_MAX);
        int r;

        if (line.size > AUDIT_LINE_MAX || !text_is_utf8(line) ||
            !take_literal(&line, key_sequence, LENGTH(key_sequence)))
                return AUDIT_LINE_E_INVALID;
        r = take_value(&line, &number);
        if (r == 0)
                r = pool_text(pool, buf_slice(&number), &sequence);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(keys); i++)
                r = take_text(&line, keys[i].key, pool, keys[i].text);
        if (r)
                return r;
        if (line.size != 1 || line.data[0] != '}' || !time || !fields.operation || !fields.verdict ||
            text_parse_u64(sequence, &fields.sequence) || text_parse_time(time, &fields.time))
                return AUDIT_LINE_E_INVALID;
        *ret = fields;
        return 0;
}
