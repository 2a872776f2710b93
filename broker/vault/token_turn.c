#include "vault/token_turn.h"
#include "base/list.h"
#include "vault/vault.h"
#include <stdio.h>

/* Failures in a row that cost no wait. */
#define FAILURES_FREE 3U
#define PAUSE_FIRST_USEC (1 * USEC_PER_SEC)
#define PAUSE_MOST_USEC (60 * USEC_PER_SEC)
/* However long the upstream wants to be left alone. */
#define RETRY_MOST_USEC (3600 * USEC_PER_SEC)
/* Grants whose failures are remembered. */
#define TURNS_MAX 1024U

typedef struct Waiter {
        List link;
        MintDone done;
        void *userdata;
} Waiter;

typedef struct Turn {
        List link;
        TokenTurns *turns;
        char session[IDENT_ID_SIZE + 1];
        char profile[LIMIT_NAME + 1];
        bool running;
        unsigned failures;   /* in a row */
        uint64_t not_before; /* boot clock */
        Failure last;
        List waiters; /* Waiter: of the mint that is running */
} Turn;

struct TokenTurns {
        Vault *vault;
        List turns; /* Turn, the oldest first */
        size_t n;
};

int token_turns_new(TokenTurns **ret, Vault *vault)
{
        TokenTurns *turns = calloc(1, sizeof(*turns));

        if (!turns)
                return -ENOMEM;
        turns->vault = vault;
        list_init(&turns->turns);
        *ret = turns;
        return 0;
}

static void waiter_free(Waiter *waiter)
{
        list_remove(&waiter->link);
        free(waiter);
}

static void turn_free(Turn *turn)
{
        while (!list_empty(&turn->waiters))
                waiter_free(container_of(turn->waiters.next, Waiter, link));
        list_remove(&turn->link);
        turn->turns->n--;
        free(turn);
}

TokenTurns *token_turns_free(TokenTurns *turns)
{
        if (!turns)
                return NULL;
        while (!list_empty(&turns->turns))
                turn_free(container_of(turns->turns.next, Turn, link));
        free(turns);
        return NULL;
}

static Turn *find(TokenTurns *turns, const char *session, const char *profile)
{
        LIST_FOREACH(node, &turns->turns) {
                Turn *turn = container_of(node, Turn, link);

                if (strcmp(turn->session, session) == 0 && strcmp(turn->profile, profile) == 0)
                        return turn;
        }
        return NULL;
}

static void forget_oldest(TokenTurns *turns)
{
        LIST_FOREACH(node, &turns->turns) {
                Turn *turn = container_of(node, Turn, link);

                if (!turn->running) {
                        turn_free(turn);
                        return;
                }
        }
}

static Turn *turn_new(TokenTurns *turns, const char *session, const char *profile)
{
        Turn *turn = calloc(1, sizeof(*turn));

        if (!turn)
                return NULL;
        if (turns->n >= TURNS_MAX)
                forget_oldest(turns);
        list_init(&turn->link);
        list_init(&turn->waiters);
        turn->turns = turns;
        (void)snprintf(turn->session, sizeof(turn->session), "%s", session);
        (void)snprintf(turn->profile, sizeof(turn->profile), "%s", profile);
        list_append(&turns->turns, &turn->link);
        turns->n++;
        return turn;
}

static int waiter_new(Turn *turn, MintDone done, void *userdata)
{
        Waiter *waiter = calloc(1, sizeof(*waiter));

        if (!waiter)
                return -ENOMEM;
        waiter->done = done;
        waiter->userdata = userdata;
        list_append(&turn->waiters, &waiter->link);
        return 0;
}

/* How long the grant has to wait after this failure. */
static uint64_t pause_after(const Turn *turn, const Failure *failure)
{
        uint64_t pause = turn->failures > FAILURES_FREE ? PAUSE_FIRST_USEC : 0;

        for (unsigned i = FAILURES_FREE + 1; i < turn->failures && pause < PAUSE_MOST_USEC; i++)
                pause *= 2;
        return MAX(MIN(pause, PAUSE_MOST_USEC), MIN(failure->retry_after_usec, RETRY_MOST_USEC));
}

static int tell(TokenTurns *turns, Waiter *waiter, const Secret *token, uint64_t expires, const char *lease,
                const Failure *failure)
{
        MintDone done = waiter->done;
        void *userdata = waiter->userdata;
        Failure mine = *failure;
        Secret *copy = NULL;

        waiter_free(waiter);
        if (!failed(&mine) && secret_from_bytes(&copy, turns->vault->role.arena, secret_slice(token)))
                failure_set(&mine, FAULT_BUSY, "The broker's memory for secrets is full.");
        return done(userdata, copy, copy ? expires : 0, lease, &mine);
}

static int on_minted(void *userdata, Secret *token, uint64_t expires, const char *lease, const Failure *failure)
{
        _cleanup_(secret_freep) Secret *owned = token;
        Turn *turn = userdata;
        TokenTurns *turns = turn->turns;
        List waiters;
        int r = 0;

        /* Those who are told may ask again at once. */
        list_init(&waiters);
        while (!list_empty(&turn->waiters)) {
                List *node = turn->waiters.next;

                list_remove(node);
                list_append(&waiters, node);
        }
        turn->running = false;
        if (failed(failure)) {
                turn->failures++;
                turn->last = *failure;
                turn->not_before = vault_boot(turns->vault) + pause_after(turn, failure);
        } else {
                turn_free(turn);
        }
        while (!list_empty(&waiters)) {
                int q = tell(turns, container_of(waiters.next, Waiter, link), owned, expires, lease, failure);

                r = r < 0 ? r : q;
        }
        return r;
}

int token_turn_take(TokenTurns *turns, const MintAsk *ask, MintDone done, void *userdata)
{
        Turn *turn = find(turns, ask->session, ask->grant->profile);
        uint64_t now = vault_boot(turns->vault);
        int r;

        if (!turn)
                turn = turn_new(turns, ask->session, ask->grant->profile);
        if (!turn)
                return -ENOMEM;
        if (!turn->running && now < turn->not_before) {
                Failure failure = turn->last;

                failure.retry_after_usec = turn->not_before - now;
                return done(userdata, NULL, 0, NULL, &failure);
        }
        r = waiter_new(turn, done, userdata);
        if (r < 0 || turn->running)
                return r;
        turn->running = true;
        return mint_start(turns->vault, ask, on_minted, turn);
}
