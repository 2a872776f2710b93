/* What leak signals have led to: the listing, and closing one by hand. */
#include "vault/response.h"
#include "vault/rows_incident.h"

/* Rows carry texts of all actions, so fewer fit into one frame. */
#define PAGE 16U

typedef struct Row {
        char actions[_LEAK_ACTION_N][LIMIT_LABEL + 1];
        const char *items[_LEAK_ACTION_N];
} Row;

static const char *or_null(const char *text)
{
        return text[0] ? text : NULL;
}

static IncidentState state_of(const IncidentRecord *record)
{
        if (record->closed > 0)
                return INCIDENT_CLOSED;
        return incident_needs_person(record) ? INCIDENT_NEEDS_PERSON : INCIDENT_RUNNING;
}

static IncidentRow row_of(const IncidentRecord *record, Row *texts)
{
        IncidentRow row = {
                .incident = record->id,
                .time = record->time,
                .signal = record->signal,
                .evidence = or_null(record->source),
                .secret = or_null(record->secret),
                .profile = or_null(record->profile),
                .session = or_null(record->session),
                .lease = or_null(record->lease),
                .generation = record->generation,
                .count = record->count,
                .state = state_of(record),
                .closed = record->closed,
                .actions.items = texts->items,
        };

        for (LeakAction action = 0; action < _LEAK_ACTION_N; action++) {
                if (record->actions[action].state == ACTION_NONE)
                        continue;
                response_action_text(record, action, texts->actions[action], sizeof(texts->actions[action]));
                texts->items[row.actions.n++] = texts->actions[action];
        }
        return row;
}

static int send_page(Request *request, const IncidentRecord *records, size_t n)
{
        IncidentRow rows[PAGE];
        Row texts[PAGE];
        ListIncidentsReply reply = { .incidents = { .items = rows, .n = n } };

        for (size_t i = 0; i < n; i++)
                rows[i] = row_of(&records[i], &texts[i]);
        return n == PAGE ? request_reply_more(request, &reply) : request_reply(request, &reply, NULL, 0);
}

int op_list_incidents(Vault *vault, Request *request)
{
        const ListRequest *body = request->body;
        bool open_only = !body->all;
        uint64_t after = 0;
        IncidentRecord *records;
        Failure failure = { 0 };
        size_t n = PAGE;
        int r;

        if (!vault->recovered)
                return request_fail(request, FAULT_UNAVAILABLE, "The broker is still starting.");
        r = response_look(vault); /* a rotation may just have ended some */
        while (r == 0 && n == PAGE) {
                Pool pool = POOL_NULL(PAGE * sizeof(IncidentRecord) + 4096U);

                if (vault_db_failed(vault, rows_incident_list(vault->db, open_only, after, PAGE, &pool, &records, &n),
                                    &failure)) {
                        pool_deinit(&pool);
                        return failure_answer(&failure, request);
                }
                after = n > 0 ? records[n - 1].sequence : after;
                r = send_page(request, records, n);
                pool_deinit(&pool);
        }
        return r;
}

int op_close_incident(Vault *vault, Request *request)
{
        const CloseIncidentRequest *body = request->body;
        Empty reply = { 0 };
        Failure failure = { 0 };
        int r;

        if (!vault->recovered)
                return request_fail(request, FAULT_UNAVAILABLE, "The broker is still starting.");
        r = response_close(vault, body->caller, body->incident);
        if (r == DB_E_NOT_FOUND)
                failure_set(&failure, FAULT_NOT_FOUND, "There is no incident of that id.");
        else
                (void)vault_db_failed(vault, r, &failure);
        if (failed(&failure))
                return vault_refuse(vault, request, vault_event(body->caller, "leak.close"), &failure);
        return request_reply(request, &reply, NULL, 0);
}
