#pragma once
/*
 * What the vault gave for one session: the credential, what it may be used for, and the connections that
 * carry it. Shared by the session and the exchanges that began with it, since a newer one may come
 * while they are under way.
 */
#include "egress/guard.h"
#include "egress/idle_pool.h"
#include "egress/scrub.h"
#include "http/rule.h"
#include "wire/msg_egress.h"

typedef struct Grant {
        unsigned refs;
        Pool pool; /* of the two below */
        EgressPolicy *policy;
        TextList hosts;     /* that the credential may be sent to */
        Secret *credential; /* NULL once it is withdrawn */
        Scrub *scrub;       /* likewise */
        RuleSet *rules;
        Guard guard;
        IdlePool *idle;
        uint64_t expires; /* wall time; 0: never */
        bool current;     /* the session's; its connections may be kept */
} Grant;

enum {
        _GRANT_E_SUCCESS,
        GRANT_E_INVALID, /* `problem` says what */
        GRANT_E_FULL,    /* no room for the credential */
};

/* Takes the credential out of the request. GRANT_E_*. */
int grant_new(Grant **ret, EgressGrantRequest *request, Loop *loop, Arena *arena, const char **ret_problem) NODISCARD
        NONNULL(1, 2, 3, 4, 5);
Grant *grant_ref(Grant *grant) NONNULL(1);
Grant *grant_unref(Grant *grant);
/* Wipes the credential. Whoever still holds the grant can do nothing with it. */
void grant_withdraw(Grant *grant) NONNULL(1);
bool grant_has_expired(const Grant *grant, uint64_t wall_usec) NONNULL(1);
/* May the credential be sent there? */
bool grant_is_for(const Grant *grant, const HttpAuthority *authority) NONNULL(1, 2);

DEFINE_CLEANUP(Grant *, grant_unref);
