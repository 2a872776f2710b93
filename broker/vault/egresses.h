#pragma once
/*
 * The egress processes, as the vault sees them: one for each profile that a live session uses. They are
 * started when somebody is granted something there, given credentials, told to forget them, and stopped
 * when nobody has used them for a while, or when they do not do what they are told.
 *
 * One that dies takes nothing along that is not in the state: whoever had something there grants it again,
 * which starts a new one.
 */
#include "vault/failure.h"
#include "vault/session_set.h"
#include "wire/msg_egress.h"
#include "wire/msg_supervisor.h"

typedef struct Egresses Egresses;

/* The grant is in force and joined, or `failure` says why not. FAULT_REVOKED: it was cut meanwhile. */
typedef int (*EgressDone)(void *userdata, const Failure *failure);
/* Nothing further can leave. */
typedef int (*EgressCutDone)(void *userdata);
/* `report` is of a session that has something at that profile's egress, and valid during the call. */
typedef int (*EgressReported)(void *userdata, const char *profile, const EgressReport *report);

typedef struct EgressesConfig {
        Loop *loop;
        Arena *arena;
        Channel **supervisor; /* where the current channel is found; borrowed */
        EgressReported reported;
        void *userdata;
} EgressesConfig;

int egresses_new(Egresses **ret, const EgressesConfig *config) NODISCARD NONNULL(1, 2);
/* Calls nobody back. The processes are the supervisor's to end. Accepts NULL. */
Egresses *egresses_free(Egresses *egresses);

/*
 * Puts a grant in force at the profile's egress, which is started where none runs, and connects the session's
 * process with it; `join` says which process that is (0: not this time). Everything is copied. `done` may be
 * called from within.
 */
int egresses_grant(Egresses *egresses, const char *profile, const EgressGrantRequest *grant, uint64_t join,
                   EgressDone done, void *userdata) NODISCARD NONNULL(1, 2, 3, 5);
/* Has the profile's egress something of this session? */
bool egresses_hold(const Egresses *egresses, const char *session, const char *profile) NONNULL(1, 2, 3);
/* Has it, and is the session's process `join` connected with it? */
bool egresses_joined(const Egresses *egresses, const char *session, const char *profile, uint64_t join)
        NONNULL(1, 2, 3);
/*
 * Has each egress that has something of this session forget it, all at once; with `profile` only that one, and the
 * session may be granted something there again, else it is over. One
 * that does not answer in time is killed. What is still being granted to the session is dropped. `done` is
 * called when that is over, from within where there is nothing to do.
 */
int egresses_cut(Egresses *egresses, const char *session, const char *profile, EgressCutDone done, void *userdata)
        NODISCARD NONNULL(1, 2, 4);
/* The same of a set of them, by one message to each process. */
int egresses_cut_set(Egresses *egresses, const SessionSet *sessions, const char *profile, EgressCutDone done,
                     void *userdata) NODISCARD NONNULL(1, 2, 4);
/* Processes that run, or are being started or stopped. */
size_t egresses_count(const Egresses *egresses) NONNULL(1);

DEFINE_CLEANUP(Egresses *, egresses_free);
