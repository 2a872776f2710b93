#pragma once
/*
 * One egress process, for the vault's own files: the process (egress_link.c), the grants that are on their way to
 * it (egress_job.c), what is taken from it (egress_cut.c), and all of them together (egresses.c).
 */
#include "base/ident.h"
#include "base/list.h"
#include "vault/egresses.h"
#include "vault/session_set.h"
#include "wire/field.h"

typedef enum LinkState {
        LINK_DOWN,
        LINK_STARTING,
        LINK_UP,
        LINK_STOPPING,
} LinkState;

typedef struct EgressLink {
        List link;
        Egresses *egresses;
        char profile[LIMIT_NAME + 1];
        LinkState state;
        Channel *channel; /* of LINK_UP */
        Call *call;       /* of the supervisor, to start or to stop it */
        List users;       /* User: who may have a credential there; as long as the process may live */
        List jobs;        /* Job */
        List cuts;        /* CutStep: of LINK_STOPPING, who wait for its end */
        uint64_t started; /* boot clock: of LINK_UP */
        uint64_t since;   /* boot clock: of the state, or when its last user went */
        unsigned failures; /* in a row */
        uint64_t not_before; /* boot clock */
} EgressLink;

typedef struct User {
        List link;
        char session[IDENT_ID_SIZE + 1];
        uint64_t joined; /* the session's process that is connected; 0: none */
        uint64_t grants; /* that were sent for it */
        bool reached;    /* a process of it is connected, or is being, so that something of it can be sent */
        bool holds;      /* something is in force; else it was cut, and the connection may still be there */
        uint64_t cut_by; /* CutStep.number of the last that takes it away, */
        uint64_t cut_grants; /* all that had been sent by then: what is sent behind it goes on */
} User;

/* A grant that is being put in force. */
typedef struct Job {
        List link;
        EgressLink *egress;
        char session[IDENT_ID_SIZE + 1];
        EgressGrantRequest *body; /* while the process is being started; then NULL */
        Pool memory;
        uint64_t join; /* 0: no */
        bool cut; /* the session's credentials were taken away meanwhile */
        Call *call;
        EgressDone done;
        void *userdata;
} Job;

typedef struct Cut {
        unsigned waiting; /* for processes, and for the loop that asks them */
        EgressCutDone done;
        void *userdata;
} Cut;

/* One message to one process. */
typedef struct CutStep {
        List link;
        EgressLink *egress;
        Cut *cut; /* NULL: nobody waits for it */
        Call *call;
        Timer *timer;
        bool late;  /* the time was up once */
        bool whole; /* the sessions have ended: nothing will be granted to them again */
        uint64_t number; /* of all that there were; User.cut_by */
        SessionSet sessions; /* in no order */
} CutStep;

struct Egresses {
        EgressesConfig config;
        List links;
        List cutting; /* CutStep: that wait for a process's answer */
        uint64_t n_cuts;
        Timer *timer;
};

static inline uint64_t egresses_now(const Egresses *egresses)
{
        return clock_boot(loop_clock(egresses->config.loop));
}

EgressLink *egress_link_new(Egresses *egresses, const char *profile) NONNULL(1, 2);
/* Calls nobody back. */
void egress_link_free(EgressLink *egress) NONNULL(1);
/* From LINK_DOWN. Or says to those who wait when it may be tried again. */
int egress_link_start(EgressLink *egress) NODISCARD NONNULL(1);
/* Kills it, whatever it is doing; over when it has been reaped. Harmless unless it is up. */
int egress_link_stop(EgressLink *egress) NODISCARD NONNULL(1);
/* NULL: it has nothing of this session. */
User *egress_link_user(const EgressLink *egress, const char *session) NONNULL(1, 2);
/* A grant is about to be sent: from now on it has to be cut. */
int egress_link_add_user(EgressLink *egress, const char *session) NODISCARD NONNULL(1, 2);
/* What was sent for it is gone; if the session has ended (`whole`), the user goes. */
void egress_link_drop_user(EgressLink *egress, User *user, bool whole) NONNULL(1, 2);

/* A grant for that process, sent at once if it is up. */
int egress_job_start(EgressLink *egress, const EgressGrantRequest *grant, uint64_t join, EgressDone done, void *userdata)
        NODISCARD NONNULL(1, 2, 4);
/* Sends what waited for the process. */
int egress_job_send_all(EgressLink *egress) NODISCARD NONNULL(1);
/* Fails what still waits for it. */
int egress_job_fail_waiting(EgressLink *egress, const Failure *failure) NODISCARD NONNULL(1, 2);
/* The sessions': what waits does not begin, and what is on its way comes too late. */
int egress_job_drop(EgressLink *egress, const SessionSet *sessions) NODISCARD NONNULL(1, 2);
/* Does anything wait for the process? */
bool egress_job_any_waiting(const EgressLink *egress) NONNULL(1);
void egress_job_free(Job *job) NONNULL(1);

/* Who waited for the end of the process has it. */
int egress_cut_stopped(EgressLink *egress) NODISCARD NONNULL(1);
/* Without calling anybody. */
void egress_cut_forget(CutStep *step) NONNULL(1);
