#include "base/text.h"
#include "vault/response_run.h"
#include "wire/audit_line.h"
#include <stdio.h>

void response_action_text(const IncidentRecord *record, LeakAction action, char *out, size_t size)
{
        const IncidentAction *place = &record->actions[action];
        bool explained = place->reason[0];

        (void)snprintf(out, size, "%s: %s%s%s%s", leak_action_names[action], action_state_names[place->state],
                       explained ? " (" : "", place->reason, explained ? ")" : "");
        text_mend_end(out);
}

static int put(Buf *out, const char *name, const char *value)
{
        return audit_line_append_text(out, name, value, LIMIT_TEXT);
}

static int put_actions(const IncidentRecord *record, Buf *out)
{
        bool first = true;
        int r = buf_append_text(out, ",\"actions\":[");

        for (LeakAction action = 0; r == 0 && action < _LEAK_ACTION_N; action++) {
                const IncidentAction *place = &record->actions[action];

                if (place->state == ACTION_NONE)
                        continue;
                r = buf_printf(out, "%s{\"action\":\"%s\",\"state\":\"%s\"", first ? "" : ",", leak_action_names[action],
                               action_state_names[place->state]);
                if (r == 0)
                        r = put(out, "reason", place->reason);
                if (r == 0)
                        r = buf_append_text(out, "}");
                first = false;
        }
        return r < 0 ? r : buf_append_text(out, "]");
}

int response_json(const IncidentRecord *record, Buf *out)
{
        char time[TEXT_TIME_SIZE];
        int r;

        text_time(record->time, time);
        r = buf_printf(out, "{\"schema_version\":1,\"incident\":\"%s\",\"time\":\"%s\",\"signal\":\"%s\"", record->id, time,
                       leak_signal_names[record->signal]);
        if (r == 0)
                r = put(out, "evidence", record->source);
        if (r == 0)
                r = put(out, "secret", record->secret);
        if (r == 0)
                r = put(out, "profile", record->profile);
        if (r == 0)
                r = put(out, "session", record->session);
        if (r == 0)
                r = put(out, "lease", record->lease);
        if (r == 0 && record->generation > 0)
                r = buf_printf(out, ",\"generation\":%llu", (unsigned long long)record->generation);
        if (r == 0)
                r = put_actions(record, out);
        return r < 0 ? r : buf_append_text(out, "}\n");
}
