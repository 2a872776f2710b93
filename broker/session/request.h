#pragma once
/*
 * From the head that a client sent to the canonical request that egress gets. Pure. Hop-by-hop headers
 * are dropped by name before anything else is looked at, and CONNECT, SNI and Host must name one host.
 *
 * Results: 0, -errno, an HttpError or a RefusalCode.
 */
#include "session/grants.h"
#include "session/refusal.h"

/* What a request's texts, marked and unmarked, may take. */
#define REQUEST_POOL_MAX (512U * 1024U)

typedef struct RequestRoute {
        HttpAuthority authority;
        Slice rest;         /* "/path?query", of the target; borrowed from the head */
        const Grant *grant; /* of an endpoint, which chooses it; NULL otherwise */
} RequestRoute;

/* Where a CONNECT goes. */
int request_connect(const HttpHead *head, HttpAuthority *ret) NODISCARD NONNULL(1, 2);
/* Where the request goes. `tunnel` is the host that CONNECT or SNI named, NULL on a proxy's port. */
int request_route(const HttpHead *head, const HttpAuthority *tunnel, const Grants *grants, RequestRoute *ret) NODISCARD
        NONNULL(1, 3, 4);
int request_build(const HttpHead *head, const RequestRoute *route, Pool *pool, EgressRequest *ret) NODISCARD
        NONNULL(1, 2, 3, 4);

/* A handle that made it be refused, for the report. Borrowed as slot.h has it. */
typedef struct RequestChoice {
        const Grant *grant;
        bool credential; /* the marker is in */
        bool form;       /* the body is to be looked at: the handle may be in there */
        Slice misused;   /* of REFUSAL_FOREIGN_HANDLE, _HANDLE_PLACE and _HANDLE_HOST; empty: it is not there alone */
} RequestChoice;

/* The grant whose handle stands in its slot, or the first that reaches the host; marks the request. */
int request_choose(const Grants *grants, const RequestRoute *route, Pool *pool, EgressRequest *request,
                   RequestChoice *ret) NODISCARD NONNULL(1, 2, 3, 4, 5);
/* The same for a form's body: `ret_token` borrows from it, empty if there is none. */
int request_choose_form(const Grants *grants, const RequestRoute *route, Slice body, RequestChoice *choice,
                        Slice *ret_token) NODISCARD NONNULL(1, 2, 4, 5);

/* The loopback port: who asks must have a handle, and must not be a web page. `ret_owes`: it is an endpoint's
 * request, whose client knows of no proxy, so that its handle must be in the slot. */
int request_admit_loopback(const HttpHead *head, const Grants *grants, Pool *pool, Slice *ret_foreign,
                           bool *ret_owes) NODISCARD NONNULL(1, 2, 3, 4, 5);
