#pragma once
/*
 * What is to be done about a leak. Pure: the evidence, what the configuration asks for and what is known of the
 * secret come in; each action's first state comes out, with the reason where it is not done.
 *
 * Evidence bounds it:
 *   - a session's own misuse (another session's handle, its own in the wrong place, a canary) acts on that session
 *     alone, whatever the configuration asks for;
 *   - a credential or handle that was issued acts on its lease and its session;
 *   - a secret is rotated where a real value was seen, in a report or by egress: its own, or a credential that was
 *     issued from it. It is revoked upstream where its own was.
 * A value that has been replaced since is dead weight, once nobody has it any more. A session that was handed it raw has it
 * still, and its upstream takes it until the grace of the rotation is over: of these alone it is the end then, and not of
 * what uses the new value.
 */
#include "vault/rows_incident.h"
#include "vault/rows_secret.h"
#include "wire/provider_info.h"

/* A secret is rotated for a leak once in this time; more leaks than that are not mended by rotating. */
#define ROTATE_COOLDOWN_USEC (600 * USEC_PER_SEC)

typedef struct ResponseFacts {
        uint64_t now;             /* wall time */
        uint64_t on_profile;      /* `on_leak` of the profile; bits 1U << LeakAction */
        const ConfigSecret *on_secret; /* the section of the secret, or the defaults; NULL: no real value was seen */
        const SecretRecord *secret;    /* NULL: it is gone, or no real value was seen */
        const ProviderInfo *info;      /* of that secret; NULL likewise */
        bool former_held; /* the value was replaced, and lives on in a session that was handed it raw */
        bool former_dies; /* it was replaced, and its end at the upstream is written down, at the end of its grace or due */
        bool session_lives;
        bool lease_lives;  /* of a reported lease */
        bool lease_is_real; /* it is of a credential that its upstream accepts, and of no handle */
        bool has_notify;
        const IncidentRecord *last_rotation; /* that a leak of this secret caused; NULL: none did */
} ResponseFacts;

/* Whose part is it that the actions are about? */
typedef enum ResponseTarget {
        TARGET_SESSION, /* the session that is at fault */
        TARGET_LEASE,   /* what was issued, and its session */
        TARGET_SECRET,  /* all that is in use of the secret */
} ResponseTarget;

ResponseTarget response_target(const IncidentRecord *record) NONNULL(1);
/* Is it a value that another one has replaced since? `secret` NULL: it is gone. */
bool response_is_of_former(const IncidentRecord *record, const SecretRecord *secret) NONNULL(1);
/* Was it the value of the secret itself? */
bool response_is_of_secret(const IncidentRecord *record) NONNULL(1);
/* Is it what a session did by itself, at will? No real value was seen then. */
bool response_is_misuse(const IncidentRecord *record) NONNULL(1);
/* Fills record->actions from the rest of the record. */
void response_plan(IncidentRecord *record, const ResponseFacts *facts) NONNULL(1, 2);
/* Why the session ends; for listings, and for whoever has started it. */
const char *leak_signal_sentence(LeakSignal signal);
