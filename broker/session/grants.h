#pragma once
/* What this session may reach and with which handles, as the vault said at the last Configure. */
#include "base/pool.h"
#include "http/target.h"
#include "session/slot.h"
#include "wire/field.h"
#include "wire/msg_session.h"

typedef struct Grant {
        const char *profile;
        Secret *handle;
        SlotSpec slot;
        TextList hosts;            /* that it may reach */
        TextList credential_hosts; /* of those, where the handle may be used */
        uint64_t concurrent;       /* 0: not said */
        bool websocket;
        const char *url_host; /* of endpoint; NULL otherwise */
} Grant;

typedef struct Grants {
        unsigned refs;
        Pool pool;
        Grant items[LIMIT_GRANTS];
        size_t n;
} Grants;

/* Copies; the handles are taken out of the reply. */
int grants_new(Grants **ret, SessionConfigureReply *reply) NODISCARD NONNULL(1, 2);
/* Exchanges keep what they began with. */
Grants *grants_ref(Grants *grants) NONNULL(1);
Grants *grants_unref(Grants *grants);

bool grant_reaches(const Grant *grant, const HttpAuthority *authority) NONNULL(1, 2);
/* Whether its handle may be used there. */
bool grant_gives(const Grant *grant, const HttpAuthority *authority) NONNULL(1, 2);
/* The first that reaches it, or NULL. */
const Grant *grants_reach(const Grants *grants, const HttpAuthority *authority) NONNULL(1, 2);
/* Whether some grant reaches the host, on whatever port. */
bool grants_name(const Grants *grants, const char *host) NONNULL(1, 2);
/* Whose handle it is, or NULL. In time that does not depend on what the handles are. */
const Grant *grants_by_handle(const Grants *grants, Slice token) NONNULL(1);
/* That of an endpoint with this name, or NULL. */
const Grant *grants_endpoint(const Grants *grants, Slice profile) NONNULL(1);

DEFINE_CLEANUP(Grants *, grants_unref);
