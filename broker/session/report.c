#include "session/report.h"
#include "session/session.h"
#include "wire/field.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int on_second(void *userdata)
{
        SessionProcess *session = userdata;
        Reporter *reporter = &session->reporter;
        int r = 0;

        if (!session->vault) { /* it comes back, or the session ends */
                timer_arm_after(reporter->timer, USEC_PER_SEC);
                return 0;
        }
        for (uint32_t kind = 0; r == 0 && kind < _REPORT_KIND_N; kind++) {
                EgressReport report = {
                        .session = session->id,
                        .kind = kind,
                        .reason = "More of the kind, which are not told one by one.",
                        .count = reporter->untold[kind],
                };

                if (report.count == 0)
                        continue;
                reporter->untold[kind] = 0;
                r = channel_notify(session->vault, SESSION_VAULT_REPORT, &report);
        }
        return r;
}

int reporter_init(SessionProcess *session)
{
        return timer_new(&session->reporter.timer, session->role.loop, on_second, session);
}

void reporter_deinit(SessionProcess *session)
{
        session->reporter.timer = timer_free(session->reporter.timer);
}

static void begin_second(SessionProcess *session)
{
        Reporter *reporter = &session->reporter;
        uint64_t now = clock_boot(loop_clock(session->role.loop));

        if (now < reporter->second)
                return;
        reporter->second = now + USEC_PER_SEC;
        reporter->n_own = 0;
        memset(reporter->n, 0, sizeof(reporter->n));
}

/* Whether one more of the kind may be sent in this second; if not, it is counted. */
static bool may_send(SessionProcess *session, uint32_t kind)
{
        Reporter *reporter = &session->reporter;

        begin_second(session);
        if (session->vault && reporter->n[kind] < REPORTS_PER_SECOND) {
                reporter->n[kind]++;
                return true;
        }
        reporter->untold[kind]++;
        timer_arm(reporter->timer, reporter->second);
        return false;
}

int report_refusal(SessionProcess *session, const Refusal *refusal, const EgressRequest *request)
{
        uint64_t *untold = &session->reporter.untold[refusal->kind];
        char path[LIMIT_TEXT + 1];
        EgressReport report = {
                .session = session->id,
                .kind = refusal->kind,
                .reason = refusal->message,
                .count = *untold + 1,
        };

        if (!refusal->audited)
                return 0;
        if (!may_send(session, refusal->kind))
                return 0;
        *untold = 0;
        if (request) {
                report.method = request->method;
                report.host = request->host;
        }
        /* A handle in a path is ASCII in a canonical path, and is not for the log. */
        if (request && request->path && slot_next_handle(slice_text(request->path)).size == 0 &&
            !strchr(request->path, SLOT_MARKER)) {
                (void)snprintf(path, sizeof(path), "%s", request->path);
                report.path = path;
        }
        return channel_notify(session->vault, SESSION_VAULT_REPORT, &report);
}

void report_note(SessionProcess *session, const char *format, ...)
{
        Reporter *reporter = &session->reporter;
        uint64_t now = clock_boot(loop_clock(session->role.loop));
        char line[256];
        va_list args;

        if (now >= reporter->minute) {
                reporter->minute = now + 60 * USEC_PER_SEC;
                reporter->n_notes = 0;
        }
        if (++reporter->n_notes > NOTES_PER_MINUTE)
                return;
        va_start(args, format);
        (void)vsnprintf(line, sizeof(line), format, args);
        va_end(args);
        role_log(&session->role, LOG_LEVEL_INFO, "%s%s", line,
                 reporter->n_notes == NOTES_PER_MINUTE ? " (what follows goes unlogged for a minute)" : "");
}

/* The refusal that goes with it is reported and counted by itself; of these one is evidence enough. */
static bool may_send_own(SessionProcess *session)
{
        begin_second(session);
        return session->vault && session->reporter.n_own++ < REPORTS_PER_SECOND;
}

int report_misuse(SessionProcess *session, Slice token, bool own, const char *host, const char *place)
{
        SessionMisuseNotice notice = { .host = host, .place = place };
        int r;

        report_note(session, "a handle was used where it may not be");
        if (own ? !may_send_own(session) : !may_send(session, REPORT_MISUSE))
                return 0; /* one is evidence enough */
        r = secret_from_bytes(&notice.handle, session->role.arena, token);
        if (r > 0) { /* no room: that it was so is told at least */
                session->reporter.untold[REPORT_MISUSE]++;
                timer_arm(session->reporter.timer, session->reporter.second);
                return 0;
        }
        if (r < 0)
                return r;
        r = channel_notify(session->vault, SESSION_VAULT_MISUSE, &notice);
        secret_free(notice.handle);
        return r;
}
