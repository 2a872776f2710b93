#pragma once
/*
 * The profiles in force, and the one decision they are for: is what was asked within the profile?
 * Pure: no clock, no store, no logging.
 */
#include "base/pool.h"
#include "vault/failure.h"
#include "wire/msg_broker.h"
#include "wire/msg_supervisor.h"

/* Profiles of one configuration. More is a mistake in a generated file. */
#define POLICY_PROFILES_MAX 1024U

#define POLICY_SECRETS_MAX  1024U

typedef struct Policy Policy;

int policy_new(Policy **ret, const ConfigureRequest *config) NODISCARD NONNULL(1, 2);
/* A reload must not take the profiles from under an operation that borrows from them. */
Policy *policy_ref(Policy *policy) NONNULL(1);
Policy *policy_unref(Policy *policy);
/* A deep copy. -ENOBUFS at the limit. */
int policy_add(Policy *policy, const ConfigProfile *profile) NODISCARD NONNULL(1, 2);
/* Likewise, what a section [secret NAME] says. */
int policy_add_secret(Policy *policy, const ConfigSecret *secret) NODISCARD NONNULL(1, 2);
/* Never NULL: a secret without a section has the defaults, and no name. Valid as long as the policy. */
const ConfigSecret *policy_secret(const Policy *policy, const char *name) NONNULL(1, 2);
/* Those that have a section. */
size_t policy_secret_count(const Policy *policy) NONNULL(1);
const ConfigSecret *policy_secret_at(const Policy *policy, size_t index) NONNULL(1);
size_t policy_count(const Policy *policy) NONNULL(1);
const ConfigProfile *policy_at(const Policy *policy, size_t index) NONNULL(1);
/* NULL: no such profile. Valid as long as the policy. */
const ConfigProfile *policy_find(const Policy *policy, const char *name) NONNULL(1, 2);
const ConfigureRequest *policy_settings(const Policy *policy) NONNULL(1);

/* Do its requests leave through egress, so that nothing of its credential is delivered? */
bool policy_leaves(const ConfigProfile *profile) NONNULL(1);
/* Is there everything that its way of delivery needs? */
bool policy_can_deliver(const ConfigProfile *profile) NONNULL(1);
/* May a stored key be handed out as it is? The owner has to say so in three places. */
bool policy_exposes(const ConfigProfile *profile) NONNULL(1);
/* May this caller use the profile for this command? Fills `failure` if not. */
bool policy_admits(const ConfigProfile *profile, const Caller *caller, const TextList *command,
                   Failure *failure) NONNULL(1, 2, 3, 4);
/*
 * The scope that is granted: the profile's where nothing narrower was asked (NULL or an empty
 * member), what was asked where the profile covers it. Borrows from both. False with `failure` when
 * something asked for is wider.
 */
bool policy_narrow(const ConfigProfile *profile, const Scope *asked, Scope *ret, Failure *failure)
        NONNULL(1, 3, 4);
/* Is every repository and permission of `inner` within `outer`? `ret_excess` names the first that
 * is not. "metadata: read" is within anything: GitHub adds it to every token. */
bool policy_scope_within(const Scope *inner, const Scope *outer, const char **ret_excess) NONNULL(1, 2, 3);

DEFINE_CLEANUP(Policy *, policy_unref);
