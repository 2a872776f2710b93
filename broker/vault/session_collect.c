#include "vault/session_collect.h"
#include "vault/rows_lease.h"
#include "vault/rows_secret.h"

static bool is_of_grants(const Selection *what)
{
        return what->profile || what->secret || what->provider;
}

/* Where the secret is gone, its leases still say whose it was. */
static int is_of_provider(Vault *vault, const char *secret, const char *provider, bool *ret)
{
        char name[LIMIT_NAME + 1];
        int r = rows_secret_provider(vault->db, secret, name);

        *ret = r == 0 && strcmp(name, provider) == 0;
        return r == DB_E_NOT_FOUND ? 0 : r;
}

static int holds_grant(Vault *vault, const SessionRecord *session, const Selection *what, bool *ret)
{
        const GrantRecord *grants = session->grants.items;
        int r = 0;

        *ret = false;
        if (session->opened < what->since)
                return 0;
        if (!is_of_grants(what)) {
                *ret = true;
                return 0;
        }
        for (size_t i = 0; r == 0 && i < session->grants.n && !*ret; i++) {
                bool fits = (!what->profile || strcmp(grants[i].profile, what->profile) == 0) &&
                            (!what->secret || strcmp(grants[i].secret, what->secret) == 0);

                if (fits && what->provider)
                        r = is_of_provider(vault, grants[i].secret, what->provider, &fits);
                *ret = r == 0 && fits;
        }
        return r;
}

static int holds(Vault *vault, const SessionRecord *session, const CutoffRecord *cutoff, bool unsure, bool *ret)
{
        LeaseFilter filter = {
                .what = cutoff_selection(cutoff),
                .states = 1U << LEASE_INTENT | 1U << LEASE_LIVE,
                .up_to = cutoff->sequence,
        };
        int r;

        *ret = false;
        if (session->sequence > cutoff->session_sequence ||
            (filter.what.session && strcmp(filter.what.session, session->id) != 0) ||
            (filter.what.has_principal && filter.what.principal != session->uid))
                return 0;
        if (!vault->seal && unsure && is_of_grants(&filter.what)) {
                *ret = true;
                return 0;
        }
        r = holds_grant(vault, session, &filter.what, ret);
        filter.what.session = session->id;
        if (r == 0 && !*ret)
                *ret = rows_lease_any(vault->db, &filter);
        return r;
}

int session_collect(SessionSet *set, Vault *vault, const CutoffRecord *cutoff, bool unsure)
{
        uint64_t after = 0;
        size_t n = LIMIT_PAGE;
        SessionRecord *sessions;
        int r = 0;

        while (r == 0 && n == LIMIT_PAGE) {
                Pool pool = POOL_NULL(SESSION_PAGE_POOL_MAX);

                n = 0;
                r = rows_session_list(vault->db, false, after, LIMIT_PAGE, &pool, &sessions, &n);
                for (size_t i = 0; r == 0 && i < n; i++) {
                        bool taken;

                        after = sessions[i].sequence;
                        r = holds(vault, &sessions[i], cutoff, unsure, &taken);
                        if (r == 0 && taken)
                                r = session_set_add(set, sessions[i].id);
                }
                pool_deinit(&pool);
        }
        session_set_sort(set);
        return r;
}

int session_collect_raw(SessionSet *set, Vault *vault, const char *secret, uint64_t generation)
{
        uint64_t after = 0;
        LeaseRecord *leases;
        size_t n = LIMIT_PAGE;
        int r = 0;

        while (r == 0 && n == LIMIT_PAGE) {
                Pool pool = POOL_NULL(4U * CHANNEL_FRAME_MAX);

                n = 0;
                r = rows_lease_list_raw(vault->db, secret, generation, after, LIMIT_PAGE, &pool, &leases, &n);
                for (size_t i = 0; r == 0 && i < n; i++) {
                        after = leases[i].sequence;
                        if (leases[i].generation == generation)
                                r = session_set_add(set, leases[i].session);
                }
                pool_deinit(&pool);
        }
        session_set_sort(set);
        return r;
}
