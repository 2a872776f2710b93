#include "providers/revocation.h"

/* Whether a revoked token is refused is asked this often, with a pause that doubles. */
#define PROBES      3U
#define PROBE_PAUSE (250 * USEC_PER_MSEC)

int revocation_life(Operation *operation, const Revocation *revocation, const Secret *token, Life *ret)
{
        int r = revocation->probe(operation, token);

        if (r < 0)
                return r;
        operation->retry_after_usec = 0;
        *ret = r == 0 ? LIFE_ALIVE : r == FAULT_UPSTREAM_ROOT_INVALID ? LIFE_DEAD : LIFE_UNKNOWN;
        return 0;
}

/* Once more after a pause while it lives: the word may need a moment to get around there. */
static int probe_until_dead(Operation *operation, const Revocation *revocation, const Secret *token, Life *ret)
{
        uint64_t pause = PROBE_PAUSE;
        int r;

        for (unsigned i = 0; i < PROBES; i++, pause *= 2) {
                r = revocation_life(operation, revocation, token, ret);
                if (r < 0 || *ret != LIFE_ALIVE || i + 1 == PROBES || !operation_sleep(operation, pause))
                        return r;
        }
        return 0;
}

int revocation_confirm(Operation *operation, const Revocation *revocation, const Secret *token, bool doubtful,
                       ProviderRevokeReply *reply)
{
        Life life = LIFE_UNKNOWN;
        int r = probe_until_dead(operation, revocation, token, &life);

        if (r)
                return r;
        if (life == LIFE_ALIVE)
                return operation_fail(operation, FAULT_UPSTREAM_UNKNOWN,
                                      "%s took the revocation, and still accepts the token.", revocation->upstream);
        if (life == LIFE_UNKNOWN && doubtful)
                return operation_fail(operation, FAULT_UPSTREAM_UNKNOWN,
                                      "Nothing at this address knows how to revoke the token.");
        reply->probed = life == LIFE_DEAD;
        return 0;
}
