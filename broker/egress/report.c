#include "egress/report.h"
#include "base/text.h"
#include "wire/field.h"
#include <stdio.h>

/* Different things that are counted at once. Beyond it the oldest is told and forgotten. */
#define ENTRIES_MAX   64U
#define INTERVAL_USEC USEC_PER_SEC

typedef struct Entry {
        char session[LIMIT_ID + 1];
        uint32_t kind;
        char method[32 + 1];
        char host[260 + 1];
        char path[LIMIT_TEXT + 1];
        char reason[LIMIT_TEXT + 1];
        uint64_t told_at; /* boot clock; 0: the entry is free */
        uint64_t count;   /* since then */
} Entry;

struct Reporter {
        Loop *loop;
        Channel *channel;
        Timer *timer;
        bool armed;
        Entry entries[ENTRIES_MAX];
};

static int on_timer(void *userdata);

/* Not moved while it is armed: what goes on repeating must not put off its own line. */
static void arm(Reporter *reporter)
{
        if (!reporter->armed)
                timer_arm_after(reporter->timer, INTERVAL_USEC);
        reporter->armed = true;
}

int reporter_new(Reporter **ret, Loop *loop)
{
        _cleanup_(reporter_freep) Reporter *reporter = calloc(1, sizeof(*reporter));
        int r;

        if (!reporter)
                return -ENOMEM;
        reporter->loop = loop;
        r = timer_new(&reporter->timer, loop, on_timer, reporter);
        if (r < 0)
                return r;
        *ret = take_ptr(reporter);
        return 0;
}

Reporter *reporter_free(Reporter *reporter)
{
        if (!reporter)
                return NULL;
        timer_free(reporter->timer);
        free(reporter);
        return NULL;
}

static const char *text_or_null(const char *text)
{
        return *text ? text : NULL;
}

/* A line that the vault does not take must not stop what it was about. */
static int tell(Reporter *reporter, Entry *entry, uint64_t now)
{
        const EgressReport report = {
                .session = entry->session,
                .kind = entry->kind,
                .method = text_or_null(entry->method),
                .host = text_or_null(entry->host),
                .path = text_or_null(entry->path),
                .reason = entry->reason,
                .count = entry->count,
        };
        int r;

        if (!reporter->channel)
                return 0;
        r = channel_notify(reporter->channel, FROM_EGRESS_REPORT, &report);
        entry->count = 0;
        entry->told_at = now;
        return r == -EMSGSIZE ? 0 : r;
}

static int on_timer(void *userdata)
{
        Reporter *reporter = userdata;
        uint64_t now = clock_boot(loop_clock(reporter->loop));
        bool waits = false;
        int r = 0;

        reporter->armed = false;
        for (size_t i = 0; r == 0 && i < ENTRIES_MAX; i++) {
                Entry *entry = &reporter->entries[i];

                if (!entry->told_at)
                        continue;
                if (now - entry->told_at >= INTERVAL_USEC && entry->count == 0) {
                        entry->told_at = 0;
                        continue;
                }
                if (now - entry->told_at >= INTERVAL_USEC)
                        r = tell(reporter, entry, now);
                waits = true;
        }
        if (waits)
                arm(reporter);
        return r;
}

int reporter_set_channel(Reporter *reporter, Channel *channel)
{
        reporter->channel = channel;
        return channel ? on_timer(reporter) : 0;
}

/* For one line: a slot's marker, and whatever a session's process put into a malformed request. */
static void copy(char *out, size_t size, const char *text)
{
        (void)snprintf(out, size, "%s", text ? text : "");
        text_mend_end(out);
        for (; *out; out++)
                if ((*out > 0 && *out < ' ') || *out == 0x7f)
                        *out = '?';
}

static bool is_same(const Entry *entry, const Entry *other)
{
        return entry->told_at && entry->kind == other->kind && strcmp(entry->session, other->session) == 0 &&
               strcmp(entry->host, other->host) == 0 && strcmp(entry->reason, other->reason) == 0;
}

/* The entry of the same thing, or else a free one, or else the one that was told longest ago. */
static Entry *find(Reporter *reporter, const Entry *wanted)
{
        Entry *place = &reporter->entries[0];

        for (size_t i = 0; i < ENTRIES_MAX; i++) {
                Entry *entry = &reporter->entries[i];

                if (is_same(entry, wanted))
                        return entry;
                if (entry->told_at < place->told_at)
                        place = entry;
        }
        return place;
}

int reporter_tell(Reporter *reporter, const EgressReport *report)
{
        uint64_t now = clock_boot(loop_clock(reporter->loop));
        Entry wanted = { .kind = report->kind };
        Entry *entry;
        bool is_new;
        int r = 0;

        copy(wanted.session, sizeof(wanted.session), report->session);
        copy(wanted.method, sizeof(wanted.method), report->method);
        copy(wanted.host, sizeof(wanted.host), report->host);
        copy(wanted.path, sizeof(wanted.path), report->path);
        copy(wanted.reason, sizeof(wanted.reason), report->reason);
        entry = find(reporter, &wanted);
        is_new = !is_same(entry, &wanted);
        if (is_new && entry->told_at && entry->count > 0)
                r = tell(reporter, entry, now);
        if (is_new) {
                *entry = wanted;
                entry->told_at = MAX(now, 1);
        }
        entry->count++;
        if (r == 0 && is_new)
                r = tell(reporter, entry, entry->told_at);
        arm(reporter);
        return r;
}
