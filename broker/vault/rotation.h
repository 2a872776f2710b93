#pragma once
/*
 * Rotation: another value in the place of a secret's, so that at every instant at least one that works is stored. Each
 * step is durable before the next is begun, and each begins by loading item and journal again, so that a rotation that
 * was cut off anywhere goes on from what is there:
 *
 *   planned      a person's value is not known to be stored: without it at hand, dropped. A provider may have been
 *                asked: what came of that is found out, and never is it asked again blindly
 *   created      the provider's new value is sealed in the state: store it
 *   stored       the item has it as next: verify
 *   verified     the item may have switched already, or not yet: see that it has
 *   switched     the item has the old value as previous: write down its death
 *   old_revoked  the revoker has it: drop it from the item
 *   needs_human  waits for a person
 *
 * rotation.c is the machine, rotation_life.c what it waits for. Who begins it is in op_rotate.c and
 * rotation_schedule.c, how a value comes about in rotation_guided.c and rotation_provider.c, whether it may be used in
 * rotation_verify.c, and what becomes of the old one in rotation_old.c.
 *
 * One is under way a secret. It outlives whoever asked for it, and waits, with back-off, for a keyring or an upstream
 * that is away. An abort joins the rotation that is under way and is heard of where that can be left.
 */
#include "vault/change.h"
#include "vault/revoker.h"
#include "vault/rows_rotation.h"
#include "vault/secret_load.h"
#include "vault/value_reader.h"
#include "vault/vault.h"

#define ROTATION_GRACE_MAX_SEC (30U * 86400U)

typedef struct RotationAsk RotationAsk;
typedef int (*RotationAnswer)(Rotation *rotation, void *body, const Failure *failure);

struct Rotation {
        List link; /* in Vault.rotations */
        Vault *vault;
        char name[LIMIT_NAME + 1];
        Change change;
        RotationRecord journal; /* as it is to be begun; behind that, as it was at the last load */
        bool has_journal;       /* false: not begun, or what was cut off is an `add --replace` */
        /* Who waits. */
        Request *request; /* NULL: nobody, or no longer */
        Caller caller;
        bool asked;       /* by `caller` */
        Request *aborter; /* answered once it is dropped, or cannot be any more */
        Caller aborted_by; /* where `abort_asked`: for the log */
        bool abort_asked;
        uint64_t patience; /* boot time at which they are told that it goes on without them */
        Timer *beat;       /* tells them that it still goes on */
        char waits_for[LIMIT_TEXT + 1]; /* what, for them */
        /* What goes on. */
        Timer *timer; /* of the next attempt */
        bool waiting; /* for that */
        ValueReader *reader;
        RotationAsk *ask; /* an upstream is being asked */
        bool first;       /* the state knows nothing of it yet */
        bool abort;       /* at the next step */
        bool dropping;
        Failure why;      /* it is dropped; none: a person wants it */
        bool may_ask;     /* planned just now: the upstream was not asked yet */
        bool checked;     /* the value in use was verified */
        bool proven;      /* the store took what it has already: it will take the new value */
        unsigned probes;  /* of an answer that was lost: how many said the same */
        Secret *value;    /* the new one, until it is stored */
        RotationRecord made; /* names and expiry that came with it */
        SecretRecord said; /* what the upstream says of the new value; of the pool */
        const char *identity; /* likewise, whose it is, for a person; NULL: it does not say */
        Pool pool;
        /* What is told at the end. */
        char revocation[IDENT_ID_SIZE + 1]; /* lease of the old value; "": none */
        uint64_t grace; /* seconds that it still lives */
        RevokeWatch *watch;
};

/* ---- rotation_life.c ---- */

/* Begins nothing yet: rotation_begin() does, or rotation_join(). */
int rotation_new(Rotation **ret, Vault *vault, Request *request, const char *name) NODISCARD NONNULL(1, 2, 4);
/* Ends it without a word to anybody. */
void rotation_free(Rotation *rotation) NONNULL(1);
/* From here on no other change of the secret is under way. Refuses if one is. */
int rotation_begin(Rotation *rotation) NODISCARD NONNULL(1);
/* Somebody wants it aborted: at once where only an answer is waited for, or a while; else where it comes to a step. */
int rotation_join(Rotation *rotation, Request *request) NODISCARD NONNULL(1, 2);
/* That of this secret that is under way, or NULL. */
Rotation *rotation_find(const Vault *vault, const char *name) NONNULL(1, 2);

/* Tells whoever waits of a step. */
int rotation_tell(Rotation *rotation, const char *step, uint64_t generation, const char *format, ...) NODISCARD
        NONNULL(1, 2, 4) PRINTF_LIKE(4, 5);
/* The same as the last word, also to who wants to abort; ends it. */
int rotation_finish(Rotation *rotation, const char *step, uint64_t generation, bool pending, const char *message)
        NODISCARD NONNULL(1, 2, 5);
/* Refuses whoever waits; ends it. */
int rotation_fail(Rotation *rotation, const Failure *failure) NODISCARD NONNULL(1, 2);
/* This did not work now: again later, with back-off. */
int rotation_retry(Rotation *rotation, const Failure *failure) NODISCARD NONNULL(1, 2);
/* Once more after this long, though nothing failed. */
int rotation_wait(Rotation *rotation, uint64_t usec, const char *what) NODISCARD NONNULL(1, 3);

AuditEvent rotation_event(const Rotation *rotation) NONNULL(1);
/* Calls an operation of the provider with the value `proven_by` as what proves that we may ask. `request` begins with
 * an Upstream *, which is filled in. */
int rotation_ask(Rotation *rotation, LoadedSecret *secret, const Secret *proven_by, ProviderMethod method,
                 void *request, RotationAnswer answer) NODISCARD NONNULL(1, 2, 3, 5, 6);
/* The upstream was not reached, or may answer otherwise in a while. */
bool rotation_is_passing(const Failure *failure) NONNULL(1);

/* ---- rotation.c ---- */

/* Loads what is there and does what comes next. */
int rotation_step(Rotation *rotation) NODISCARD NONNULL(1);
/* A step in the state, with its line in the log, in the transaction that `also` (may be NULL) writes in too. DB_E_*. */
int rotation_advance(Rotation *rotation, RotationStep from, RotationStep to, int (*also)(Rotation *rotation,
                     void *userdata), void *userdata) NODISCARD NONNULL(1);
/* Leaves it before its switch: to NONE, or to where a person is needed if it began there. */
int rotation_leave(Rotation *rotation, const char *reason, int (*also)(Rotation *rotation, void *userdata),
                   void *userdata) NODISCARD NONNULL(1, 2);
/* Only a person can go on. Ends it. */
int rotation_needs_human(Rotation *rotation, const char *format, ...) NODISCARD NONNULL(1, 2) PRINTF_LIKE(2, 3);
/* Takes the next value out of the item and leaves; `why` is what whoever waits is told. */
int rotation_drop(Rotation *rotation, LoadedSecret *secret, const Failure *why) NODISCARD NONNULL(1, 2, 3);

/* Stores the item, `next` in it, and calls `done`. */
int rotation_store(Rotation *rotation, const SecretItem *item, KeyringItemDone done) NODISCARD NONNULL(1, 2, 3);
/* Stores `rotation->value` as the item's next, and goes to STORED. */
int rotation_store_next(Rotation *rotation, LoadedSecret *secret) NODISCARD NONNULL(1, 2);

/* ---- rotation_schedule.c ---- */

/* One that nobody waited for failed: it is not tried again at once. */
void rotation_schedule_failed(Vault *vault, const char *name) NONNULL(1, 2);

/* ---- rotation_guided.c ---- */

int rotation_guided_begin(Rotation *rotation, LoadedSecret *secret) NODISCARD NONNULL(1, 2);

/* ---- rotation_provider.c ---- */

int rotation_provider_begin(Rotation *rotation, LoadedSecret *secret) NODISCARD NONNULL(1, 2);
/* PLANNED: asks, or finds out what came of it. */
int rotation_provider_planned(Rotation *rotation, LoadedSecret *secret) NODISCARD NONNULL(1, 2);
/* CREATED: stores the sealed value. */
int rotation_provider_created(Rotation *rotation, LoadedSecret *secret) NODISCARD NONNULL(1, 2);
/* NEEDS_HUMAN: a person says that all may be well. */
int rotation_provider_look_again(Rotation *rotation, LoadedSecret *secret) NODISCARD NONNULL(1, 2);
/* In a transaction: what the provider has made is to die. `journal` (a RotationRecord) NULL: the rotation's own. */
int rotation_provider_end_made(Rotation *rotation, void *journal) NODISCARD NONNULL(1);

/* ---- rotation_verify.c ---- */

/* STORED: does the upstream accept it, and may it do no more than the old one? */
int rotation_verify(Rotation *rotation, LoadedSecret *secret) NODISCARD NONNULL(1, 2);
/* What the upstream says of a value, into `ret`; of the pool. */
int rotation_keep_said(const ProviderVerifyReply *reply, Pool *pool, SecretRecord *ret) NODISCARD NONNULL(1, 2, 3);

/* ---- rotation_old.c ---- */

/* SWITCHED: writes down what becomes of the old value. */
int rotation_retire_old(Rotation *rotation, LoadedSecret *secret) NODISCARD NONNULL(1, 2);
/* OLD_REVOKED: where there is no grace, ends the sessions that were handed it; nothing, where they have ended. */
int rotation_end_holders(Rotation *rotation, uint64_t generation) NODISCARD NONNULL(1);
/* It is over here: the last word, once the upstream has said something of the old value, or soon. */
int rotation_conclude(Rotation *rotation) NODISCARD NONNULL(1);
