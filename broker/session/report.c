#include "session/report.h"
#include "session/session.h"
#include "wire/field.h"
#include <stdio.h>

/* Whether one more may be sent in this second. */
static bool may_send(SessionProcess *session)
{
        Reporter *reporter = &session->reporter;
        uint64_t now = clock_boot(loop_clock(session->role.loop));

        if (now >= reporter->second) {
                reporter->second = now + USEC_PER_SEC;
                reporter->n = 0;
        }
        return session->vault && reporter->n++ < REPORTS_PER_SECOND;
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
        if (!may_send(session)) {
                (*untold)++;
                return 0;
        }
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

int report_misuse(SessionProcess *session, Slice token, const char *host, const char *place)
{
        SessionMisuseNotice notice = { .host = host, .place = place };
        int r;

        role_log(&session->role, LOG_LEVEL_WARNING, "a handle that is not this session's was used");
        if (!may_send(session))
                return 0; /* one is evidence enough */
        r = secret_from_bytes(&notice.handle, session->role.arena, token);
        if (r)
                return r > 0 ? 0 : r;
        r = channel_notify(session->vault, SESSION_VAULT_MISUSE, &notice);
        secret_free(notice.handle);
        return r;
}
