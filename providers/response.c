#include "providers/response.h"
#include "base/text.h"
#include <stdio.h>
#include <strings.h>
#include <time.h>

/* GitHub: "wait for at least one minute" where a secondary limit names no time. */
#define RETRY_DEFAULT (60 * USEC_PER_SEC)
#define RETRY_MAX     (24 * 3600 * USEC_PER_SEC)
#define DATE_MAX      64U
/* Seconds since 1970 beyond which a time is nonsense: the year 9999. */
#define SECONDS_MAX UINT64_C(253402300799)

static Slice trim(Slice text)
{
        while (text.size > 0 && strchr(" \t\r\n", text.data[text.size - 1]) &&
               text.data[text.size - 1])
                text.size--;
        while (text.size > 0 && (*text.data == ' ' || *text.data == '\t'))
                text = slice(text.data + 1, text.size - 1);
        return text;
}

static bool is_name(Slice text, const char *name)
{
        return text.size == strlen(name) &&
               strncasecmp((const char *)text.data, name, text.size) == 0;
}

/* Digits only, no sign, no white space. */
static bool parse_number(Slice text, uint64_t *ret)
{
        uint64_t value = 0;

        if (text.size == 0 || text.size > 18)
                return false;
        for (size_t i = 0; i < text.size; i++) {
                if (text.data[i] < '0' || text.data[i] > '9')
                        return false;
                value = value * 10 + (text.data[i] - '0');
        }
        *ret = value;
        return true;
}

int response_parse_date(Slice text, uint64_t *ret_usec)
{
        static const char *const forms[] = {
                "%a, %d %b %Y %H:%M:%S GMT",
                "%A, %d-%b-%y %H:%M:%S GMT",
                "%a %b %e %H:%M:%S %Y",
        };
        char copy[DATE_MAX];

        if (text.size == 0 || text.size >= sizeof(copy) || memchr(text.data, 0, text.size))
                return RESPONSE_E_INVALID;
        memcpy(copy, text.data, text.size);
        copy[text.size] = 0;
        for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
                struct tm tm = { 0 };
                const char *end =
                        strptime(copy, forms[i], &tm); /* the process is in the C locale */
                time_t seconds;

                if (!end || *end)
                        continue;
                seconds = timegm(&tm);
                if (seconds < 0 || (uint64_t)seconds > SECONDS_MAX)
                        return RESPONSE_E_INVALID;
                *ret_usec = (uint64_t)seconds * USEC_PER_SEC;
                return 0;
        }
        return RESPONSE_E_INVALID;
}

int response_parse_expiration(Slice text, uint64_t *ret_usec)
{
        static const size_t date = 10, time = 8, whole = 20; /* with the space behind each */
        char copy[DATE_MAX], moment[DATE_MAX];
        const char *zone;

        if (text.size <= whole || text.size >= 32 || memchr(text.data, 0, text.size))
                return RESPONSE_E_INVALID;
        memcpy(copy, text.data, text.size);
        copy[text.size] = 0;
        zone = copy + whole;
        if (copy[date] != ' ' || copy[date + 1 + time] != ' ')
                return RESPONSE_E_INVALID;
        if (strcmp(zone, "UTC") != 0 && (strlen(zone) != 5 || !strchr("+-", *zone)))
                return RESPONSE_E_INVALID;
        if (*zone == 'U')
                (void)snprintf(moment, sizeof(moment), "%.10sT%.8sZ", copy, copy + date + 1);
        else
                (void)snprintf(moment, sizeof(moment), "%.10sT%.8s%.3s:%.2s", copy, copy + date + 1, zone, zone + 3);
        return text_parse_time(moment, ret_usec) || *ret_usec == 0 ? RESPONSE_E_INVALID : 0;
}

/* "HTTP/1.1 200 OK" */
static void take_status(ResponseHead *head, Slice line)
{
        unsigned lines = head->lines;
        const uint8_t *space = memchr(line.data, ' ', line.size);
        size_t at = space ? (size_t)(space - line.data) + 1 : line.size;
        uint64_t status = 0;

        *head = (ResponseHead){ .lines = lines };
        if (line.size < at + 3 || !parse_number(slice(line.data + at, 3), &status) ||
            status < 100 || status > 599 ||
            (line.size > at + 3 && !strchr(" \r\n", line.data[at + 3]))) {
                head->malformed = true;
                return;
        }
        head->status = (unsigned)status;
}

static void take_content_type(ResponseHead *head, Slice value)
{
        const uint8_t *end = memchr(value.data, ';', value.size);
        size_t size;

        if (end)
                value = trim(slice(value.data, (size_t)(end - value.data)));
        size = MIN(value.size, sizeof(head->content_type) - 1);
        for (size_t i = 0; i < size; i++) {
                uint8_t c = value.data[i];

                head->content_type[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
                if (c <= ' ' || c >= 0x7f)
                        head->content_type[i] = '?';
        }
        head->content_type[size] = 0;
}

/* One that is too long counts as absent: half a list would be a wrong one. */
static void take_scopes(ResponseHead *head, Slice value)
{
        if (value.size >= sizeof(head->oauth_scopes))
                return;
        for (size_t i = 0; i < value.size; i++)
                if (value.data[i] < ' ' || value.data[i] > '~')
                        return;
        if (value.size > 0)
                memcpy(head->oauth_scopes, value.data, value.size);
        head->oauth_scopes[value.size] = 0;
        head->has_oauth_scopes = true;
}

static void take_retry_after(ResponseHead *head, Slice value)
{
        uint64_t number;

        if (head->has_retry_after)
                return;
        if (parse_number(value, &number)) {
                head->retry_after_usec = MIN(number, RETRY_MAX / USEC_PER_SEC) * USEC_PER_SEC;
                head->has_retry_after = true;
        } else if (response_parse_date(value, &head->retry_at_usec) == 0) {
                head->has_retry_after = true;
        }
}

void response_head_line(ResponseHead *head, Slice line)
{
        const uint8_t *colon;
        uint64_t number;
        Slice name, value;

        line = trim(line);
        if (line.size == 0)
                return;
        if (++head->lines > RESPONSE_LINES_MAX) {
                head->malformed = true;
                return;
        }
        if (line.size >= 5 && memcmp(line.data, "HTTP/", 5) == 0) {
                take_status(head, line);
                return;
        }
        colon = memchr(line.data, ':', line.size);
        if (!colon)
                return;
        name = slice(line.data, (size_t)(colon - line.data));
        value = trim(slice(colon + 1, line.size - name.size - 1));
        if (is_name(name, "content-type")) {
                take_content_type(head, value);
        } else if (is_name(name, "retry-after")) {
                take_retry_after(head, value);
        } else if (is_name(name, "date")) {
                if (response_parse_date(value, &head->date_usec))
                        head->date_usec = 0;
        } else if (is_name(name, "x-oauth-scopes")) {
                take_scopes(head, value);
        } else if (is_name(name, "github-authentication-token-expiration")) {
                if (response_parse_expiration(value, &head->token_expires_usec))
                        head->token_expires_usec = 0;
        } else if (is_name(name, "x-ratelimit-remaining") && parse_number(value, &number)) {
                head->remaining = number;
                head->has_remaining = true;
        } else if (is_name(name, "x-ratelimit-reset") && parse_number(value, &number) &&
                   number <= SECONDS_MAX) {
                head->reset_usec = number * USEC_PER_SEC;
                head->has_reset = true;
        }
}

static uint64_t until(uint64_t moment, uint64_t now)
{
        return moment > now ? moment - now : 0;
}

uint64_t response_retry_after(const ResponseHead *head, uint64_t now_usec)
{
        uint64_t now = head->date_usec > 0 ? head->date_usec : now_usec;
        uint64_t delay = RETRY_DEFAULT;

        if (head->has_retry_after)
                delay = head->retry_at_usec > 0 ? until(head->retry_at_usec, now)
                                                : head->retry_after_usec;
        else if (head->has_remaining && head->remaining == 0 && head->has_reset)
                delay = until(head->reset_usec, now);
        return MIN(MAX(delay, USEC_PER_SEC), RETRY_MAX);
}
