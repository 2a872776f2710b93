#pragma once
/*
 * Table incident: what a leak signal was evidence of, and how far each action that answers it has come. A row is
 * durable before the first of its actions is begun.
 */
#include "base/ident.h"
#include "vault/db.h"
#include "wire/field.h"
#include "wire/msg_broker.h"
#include "wire/msg_supervisor.h"

typedef enum ActionState {
        ACTION_NONE,    /* `on_leak` does not ask for it */
        ACTION_TODO,
        ACTION_BEGUN,   /* something goes on that will end it */
        ACTION_DONE,
        ACTION_FAILED,
        ACTION_SKIPPED, /* asked for, but the evidence does not bear it, or there is nothing to do */
        ACTION_PERSON,  /* the broker cannot do it by itself */
        _ACTION_STATE_N,
} ActionState;
extern const char *const action_state_names[];

typedef struct IncidentAction {
        ActionState state;
        char reason[LIMIT_LABEL + 1]; /* "": none to give */
} IncidentAction;

/* A signal, an id, a name and a number. */
#define INCIDENT_KEY_MAX 128U

typedef struct IncidentRecord {
        uint64_t sequence; /* insert sets it */
        char id[IDENT_ID_SIZE + 1];
        char key[INCIDENT_KEY_MAX + 1]; /* the same leak has the same */
        uint64_t time;                  /* wall time */
        LeakSignal signal;
        char session[IDENT_ID_SIZE + 1]; /* at fault, or that the value was issued to; "": none */
        char profile[LIMIT_NAME + 1];
        char secret[LIMIT_NAME + 1];
        char lease[IDENT_ID_SIZE + 1];
        uint64_t generation; /* of the secret's value that was seen, or that is behind the lease; 0: not known */
        char source[LIMIT_LABEL + 1];
        uint64_t count;      /* how often it was reported */
        uint64_t closed;     /* wall time; 0: something is still to be done */
        IncidentAction actions[_LEAK_ACTION_N];
} IncidentRecord;

static inline bool action_is_open(ActionState state)
{
        return state == ACTION_TODO || state == ACTION_BEGUN || state == ACTION_PERSON;
}
/* Is anything of it still to be done? */
bool incident_is_open(const IncidentRecord *record) NONNULL(1);
/* Does it wait for a person, and for nothing else? */
bool incident_needs_person(const IncidentRecord *record) NONNULL(1);

/* Sets record->sequence. Closed at once if nothing of it is open. DB_E_EXISTS. */
int rows_incident_insert(Db *db, IncidentRecord *record) NODISCARD NONNULL(1, 2);
int rows_incident_get(Db *db, const char *id, IncidentRecord *ret) NODISCARD NONNULL(1, 2, 3);
/* The newest of this key. DB_E_NOT_FOUND. */
int rows_incident_find(Db *db, const char *key, IncidentRecord *ret) NODISCARD NONNULL(1, 2, 3);
/* The newest that had this secret rotated, or has it rotated now. DB_E_NOT_FOUND. */
int rows_incident_last_rotation(Db *db, const char *secret, IncidentRecord *ret) NODISCARD NONNULL(1, 2, 3);
/* It was reported once more. */
int rows_incident_count_again(Db *db, const char *id) NODISCARD NONNULL(1, 2);
/* One action, in the record and in the row; closes it behind the last one that was open. */
int rows_incident_set_action(Db *db, IncidentRecord *record, LeakAction action, ActionState state, const char *reason,
                             uint64_t now) NODISCARD NONNULL(1, 2);
/* A page in order of time, behind the sequence `after`. Zero rows is the end. The array is the pool's. */
int rows_incident_list(Db *db, bool open_only, uint64_t after, size_t max, Pool *pool, IncidentRecord **ret,
                       size_t *ret_n) NODISCARD NONNULL(1, 5, 6, 7);
/* Open ones, and those of them that wait for a person. */
int rows_incident_count(Db *db, uint64_t *ret_open, uint64_t *ret_person) NODISCARD NONNULL(1, 2, 3);
/* Deletes those that were closed before `before`, at most `max`. */
int rows_incident_prune(Db *db, uint64_t before, size_t max, uint64_t *ret_n) NODISCARD NONNULL(1, 4);
