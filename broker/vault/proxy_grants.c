#include "vault/proxy_grants.h"
#include "vault/proxy_supply.h"
#include "vault/revoker.h"
#include "vault/rows_lease.h"
#include <stdio.h>

/* Requests that began with the old credential may end with it. */
#define GRACE_USEC (60 * USEC_PER_SEC)
/* Between attempts to renew; minting has a patience of its own (token_turn.h). */
#define RETRY_FIRST_USEC (5 * USEC_PER_SEC)
#define RETRY_UNAVAILABLE_USEC (100 * USEC_PER_MSEC)
#define RETRY_MOST_USEC  (60 * USEC_PER_SEC)
/* An upstream that refuses what it has just given is not asked for more at once. */
#define HURRY_USEC (60 * USEC_PER_SEC)
/* The wall clock may be set; nothing here is looked at less often. */
#define LOOK_USEC (60 * USEC_PER_SEC)

typedef struct Entry {
        List link;
        ProxyGrants *grants;
        char session[IDENT_ID_SIZE + 1];
        char profile[LIMIT_NAME + 1];
        char secret[LIMIT_NAME + 1];
        char lease[IDENT_ID_SIZE + 1]; /* of what is in force */
        bool minted;
        uint64_t due;   /* wall time: when it is to be supplied anew; UINT64_MAX: as it is now, never */
        uint64_t since; /* wall time: when it was last put in force */
        unsigned failures; /* in a row */
        bool wanted;   /* the egress has nothing of it, and its session goes on */
        uint64_t join; /* the session's process that is still to be connected; 0: none */
        bool running;  /* it is being supplied anew */
        bool gone;     /* its session has ended while it was */
        bool cutting;  /* seen by the cut under way */
        char provider[LIMIT_NAME + 1];
        uint64_t principal; /* uid of whoever opened the session */
} Entry;

/* A minted credential whose successor is in force. */
typedef struct Old {
        List link;
        char lease[IDENT_ID_SIZE + 1];
        uint64_t end; /* wall time */
} Old;

/* One call of proxy_grants_supply(). */
typedef struct Supplying {
        ProxyGrants *grants;
        char session[IDENT_ID_SIZE + 1];
        char profile[LIMIT_NAME + 1];
        uint64_t join;
        ProxyGrantDone done;
        void *userdata;
} Supplying;

struct ProxyGrants {
        Vault *vault;
        List entries;
        List old;
        Timer *timer;
        uint64_t next; /* wall time that the timer is armed for */
};

/* ---- the timer ---- */

static void note_due(ProxyGrants *grants, uint64_t due)
{
        uint64_t now = vault_now(grants->vault);

        if (due >= grants->next)
                return;
        grants->next = due;
        timer_arm_after(grants->timer, due > now ? MIN(due - now, LOOK_USEC) : 0);
}

static void arm(ProxyGrants *grants)
{
        uint64_t next = UINT64_MAX;

        LIST_FOREACH(node, &grants->entries) {
                const Entry *entry = container_of(node, Entry, link);

                if (!entry->running)
                        next = MIN(next, entry->due);
        }
        LIST_FOREACH(node, &grants->old)
                next = MIN(next, container_of(node, Old, link)->end);
        grants->next = UINT64_MAX;
        note_due(grants, next);
}

/* ---- entries ---- */

static Entry *find(const ProxyGrants *grants, const char *session, const char *profile)
{
        LIST_FOREACH(node, &grants->entries) {
                Entry *entry = container_of(node, Entry, link);

                if (!entry->gone && strcmp(entry->session, session) == 0 && strcmp(entry->profile, profile) == 0)
                        return entry;
        }
        return NULL;
}

static void entry_free(Entry *entry)
{
        list_remove(&entry->link);
        free(entry);
}

static Entry *entry_new(ProxyGrants *grants, const char *session, const char *profile)
{
        Entry *entry = calloc(1, sizeof(*entry));

        if (!entry)
                return NULL;
        entry->grants = grants;
        (void)snprintf(entry->session, sizeof(entry->session), "%s", session);
        (void)snprintf(entry->profile, sizeof(entry->profile), "%s", profile);
        list_append(&grants->entries, &entry->link);
        return entry;
}

/* The one before is of use for a while yet, to what has begun with it. */
static int retire(ProxyGrants *grants, const char *lease)
{
        Old *old = calloc(1, sizeof(*old));

        if (!old)
                return -ENOMEM;
        (void)snprintf(old->lease, sizeof(old->lease), "%s", lease);
        old->end = vault_now(grants->vault) + GRACE_USEC;
        list_append(&grants->old, &old->link);
        note_due(grants, old->end);
        return 0;
}

/* What was put in force just now. */
static int entry_update(Entry *entry, const Supplied *supplied)
{
        int r = 0;

        if (entry->minted && entry->lease[0] && strcmp(entry->lease, supplied->lease) != 0)
                r = retire(entry->grants, entry->lease);
        (void)snprintf(entry->secret, sizeof(entry->secret), "%s", supplied->secret);
        (void)snprintf(entry->lease, sizeof(entry->lease), "%s", supplied->lease);
        (void)snprintf(entry->provider, sizeof(entry->provider), "%s", supplied->provider);
        entry->principal = supplied->principal;
        entry->minted = supplied->minted;
        entry->due = supplied->renew;
        entry->since = vault_now(entry->grants->vault);
        entry->failures = 0;
        entry->wanted = false;
        entry->join = 0;
        note_due(entry->grants, entry->due);
        return r;
}

/* ---- supplying ---- */

static uint64_t retry_after(const Entry *entry, const Failure *failure)
{
        /* A part that was restarted, by a reload for one, is there again in a moment. */
        uint64_t wait = failure->fault == FAULT_UNAVAILABLE ? RETRY_UNAVAILABLE_USEC : RETRY_FIRST_USEC;

        for (unsigned i = 1; i < entry->failures && wait < RETRY_MOST_USEC; i++)
                wait *= 2;
        return MAX(MIN(wait, RETRY_MOST_USEC), failure->retry_after_usec);
}

/* What was tried for it has come to this. The entry may be gone afterwards. */
static int entry_settle(Entry *entry, const Supplied *supplied, const Failure *failure)
{
        ProxyGrants *grants = entry->grants;
        int r = 0;

        if (!failed(failure)) {
                r = entry_update(entry, supplied);
        } else if (supplied->final) {
                entry_free(entry);
        } else {
                entry->failures++;
                entry->due = vault_now(grants->vault) + retry_after(entry, failure);
                note_due(grants, entry->due);
        }
        return r;
}

static int on_supplied(void *userdata, const Supplied *supplied, const Failure *failure)
{
        Supplying *supplying = userdata;
        ProxyGrants *grants = supplying->grants;
        Supplying copy = *supplying;
        Entry *entry = find(grants, copy.session, copy.profile);
        int r = 0, q;

        free(supplying);
        if (!entry && !supplied->final)
                entry = entry_new(grants, copy.session, copy.profile);
        if (!entry && !supplied->final)
                return -ENOMEM;
        if (entry && failed(failure)) {
                entry->wanted = true;
                entry->join = copy.join;
        }
        if (entry && !entry->running) /* else what runs will settle it */
                r = entry_settle(entry, supplied, failure);
        q = copy.done(copy.userdata, failure);
        return r < 0 ? r : q;
}

int proxy_grants_supply(ProxyGrants *grants, const char *session, const char *profile, uint64_t join,
                        ProxyGrantDone done, void *userdata)
{
        SupplyAsk ask = { .session = session, .profile = profile, .join = join };
        Supplying *supplying = calloc(1, sizeof(*supplying));

        if (!supplying)
                return -ENOMEM;
        supplying->grants = grants;
        supplying->join = join;
        supplying->done = done;
        supplying->userdata = userdata;
        (void)snprintf(supplying->session, sizeof(supplying->session), "%s", session);
        (void)snprintf(supplying->profile, sizeof(supplying->profile), "%s", profile);
        return proxy_supply(grants->vault, &ask, on_supplied, supplying);
}

bool proxy_grants_stands(const ProxyGrants *grants, const char *session, const char *profile, uint64_t join)
{
        const Entry *entry = find(grants, session, profile);

        return entry && !entry->wanted && egresses_joined(grants->vault->egresses, session, profile, join);
}

/* ---- renewing ---- */

static int on_renewed(void *userdata, const Supplied *supplied, const Failure *failure)
{
        Entry *entry = userdata;

        entry->running = false;
        if (!entry->gone)
                return entry_settle(entry, supplied, failure);
        entry_free(entry);
        return 0;
}

/* Where its egress is gone, the session will ask for all of it again. */
static int renew(Entry *entry)
{
        ProxyGrants *grants = entry->grants;
        SupplyAsk ask = {
                .session = entry->session,
                .profile = entry->profile,
                .join = entry->join,
                .fresh = entry->minted && !entry->wanted,
        };

        if (!entry->wanted && !egresses_hold(grants->vault->egresses, entry->session, entry->profile)) {
                entry_free(entry);
                return 0;
        }
        entry->running = true;
        return proxy_supply(grants->vault, &ask, on_renewed, entry);
}

/* From here on the revoker sees to it. */
static int end_old(ProxyGrants *grants, const Old *old)
{
        Vault *vault = grants->vault;
        Failure failure;
        int r;

        r = rows_lease_end(vault->db, old->lease, vault_now(vault), "renewed");
        if (r && r != DB_E_NOT_FOUND) /* it expires soon, in any case */
                (void)vault_db_failed(vault, r, &failure);
        return revoker_wake(vault->revoker);
}

static Entry *next_due(ProxyGrants *grants, uint64_t now)
{
        LIST_FOREACH(node, &grants->entries) {
                Entry *entry = container_of(node, Entry, link);

                if (!entry->running && entry->due <= now)
                        return entry;
        }
        return NULL;
}

static int on_timer(void *userdata)
{
        ProxyGrants *grants = userdata;
        uint64_t now = vault_now(grants->vault);
        Entry *entry;
        int r = 0;

        LIST_FOREACH(node, &grants->old) {
                Old *old = container_of(node, Old, link);

                if (r < 0 || old->end > now)
                        continue;
                list_remove(node);
                r = end_old(grants, old);
                free(old);
        }
        /* Looked for anew each time: what runs may change the list. None is due again at once. */
        while (r == 0 && (entry = next_due(grants, now)))
                r = renew(entry);
        arm(grants);
        return r;
}

void proxy_grants_forget(ProxyGrants *grants, const SessionSet *sessions)
{
        LIST_FOREACH(node, &grants->entries) {
                Entry *entry = container_of(node, Entry, link);

                if (!session_set_has(sessions, entry->session))
                        continue;
                if (entry->running)
                        entry->gone = true;
                else
                        entry_free(entry);
        }
}

typedef struct BulkCut {
        size_t waiting; /* for egresses, and for the loop that asks them */
        EgressCutDone done;
        void *userdata;
} BulkCut;

static int on_cut(void *userdata)
{
        BulkCut *bulk = userdata;
        BulkCut copy = *bulk;

        if (--bulk->waiting > 0)
                return 0;
        free(bulk);
        return copy.done(copy.userdata);
}

static bool takes(const Selection *what, const Entry *entry)
{
        return !entry->gone && (!what->session || strcmp(what->session, entry->session) == 0) &&
               (!what->profile || strcmp(what->profile, entry->profile) == 0) &&
               (!what->secret || strcmp(what->secret, entry->secret) == 0) &&
               (!what->provider || strcmp(what->provider, entry->provider) == 0) &&
               (!what->has_principal || what->principal == entry->principal);
}

/* Those of the profile of `first`, and of the ones behind it, by one message. */
static int cut_profile(ProxyGrants *grants, Entry *first, const Selection *what, BulkCut *bulk)
{
        SessionSet sessions = SESSION_SET_NULL;
        int r = 0;

        LIST_FOREACH(node, &grants->entries) {
                Entry *entry = container_of(node, Entry, link);

                if (r < 0 || !takes(what, entry) || strcmp(entry->profile, first->profile) != 0)
                        continue;
                entry->cutting = true;
                r = session_set_add(&sessions, entry->session);
        }
        session_set_sort(&sessions);
        if (r == 0) {
                bulk->waiting++;
                r = egresses_cut_set(grants->vault->egresses, &sessions, first->profile, on_cut, bulk);
        }
        session_set_deinit(&sessions);
        return r;
}

int proxy_grants_cut(ProxyGrants *grants, const Selection *what, EgressCutDone done, void *userdata)
{
        BulkCut *bulk = calloc(1, sizeof(*bulk));
        int r = 0;

        if (!bulk)
                return -ENOMEM;
        *bulk = (BulkCut){ .waiting = 1, .done = done, .userdata = userdata };
        if (what->since > 0) /* not known here */
                return on_cut(bulk);
        LIST_FOREACH(node, &grants->entries)
                container_of(node, Entry, link)->cutting = false;
        /* Who is told that his grant was cut may not change the list: that is done from the timer. */
        LIST_FOREACH(node, &grants->entries) {
                Entry *entry = container_of(node, Entry, link);

                if (r == 0 && !entry->cutting && takes(what, entry))
                        r = cut_profile(grants, entry, what, bulk);
        }
        return r < 0 ? r : on_cut(bulk);
}

/* From within a callback of somebody's, so the timer does it. */
static void set_due(Entry *entry, uint64_t due)
{
        entry->due = MIN(entry->due, due);
        if (!entry->running)
                note_due(entry->grants, entry->due);
}

void proxy_grants_hurry(ProxyGrants *grants, const char *session, const char *profile)
{
        Entry *entry = find(grants, session, profile);

        if (entry && entry->minted)
                set_due(entry, MAX(vault_now(grants->vault), entry->since + HURRY_USEC));
}

void proxy_grants_replace(ProxyGrants *grants, const char *session, const char *profile)
{
        Entry *entry = find(grants, session, profile);

        if (!entry)
                return;
        entry->wanted = true;
        set_due(entry, vault_now(grants->vault));
}

void proxy_grants_refresh(ProxyGrants *grants, const char *secret)
{
        LIST_FOREACH(node, &grants->entries) {
                Entry *entry = container_of(node, Entry, link);

                if (!entry->minted && strcmp(entry->secret, secret) == 0)
                        set_due(entry, vault_now(grants->vault));
        }
}

int proxy_grants_new(ProxyGrants **ret, Vault *vault)
{
        ProxyGrants *grants = calloc(1, sizeof(*grants));
        int r;

        if (!grants)
                return -ENOMEM;
        grants->vault = vault;
        grants->next = UINT64_MAX;
        list_init(&grants->entries);
        list_init(&grants->old);
        r = timer_new(&grants->timer, vault->role.loop, on_timer, grants);
        if (r < 0) {
                free(grants);
                return r;
        }
        *ret = grants;
        return 0;
}

ProxyGrants *proxy_grants_free(ProxyGrants *grants)
{
        if (!grants)
                return NULL;
        while (!list_empty(&grants->entries))
                entry_free(container_of(grants->entries.next, Entry, link));
        while (!list_empty(&grants->old)) {
                Old *old = container_of(grants->old.next, Old, link);

                list_remove(&old->link);
                free(old);
        }
        timer_free(grants->timer);
        free(grants);
        return NULL;
}
