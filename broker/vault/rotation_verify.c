/* Does the upstream accept the new value, and may that do no more than the old one? */
#include "base/text.h"
#include "vault/rights.h"
#include "vault/rotation.h"
#include <stdio.h>

/* What an upstream has just made it may not know everywhere yet: this many tries, with back-off, a quarter of a minute. */
#define TRIES_NEW 4U
/* An upstream that is away, while both values live: after a quarter of an hour the new one is dropped. */
#define TRIES_AWAY 10U

static int keep_text(Pool *pool, const char *text, const char **ret)
{
        return text && *text ? pool_text(pool, slice_text(text), ret) : 0;
}

int rotation_keep_said(const ProviderVerifyReply *reply, Pool *pool, SecretRecord *ret)
{
        SecretRecord said = { .expires = reply->expires, .rights_known = reply->checked && reply->rights_known };
        void *items;
        int r = keep_text(pool, reply->secret_id, &said.secret_id);

        if (r == 0 && said.rights_known && reply->rights.n > 0) {
                r = pool_alloc(pool, reply->rights.n * sizeof(*said.rights.items), &items);
                if (r == 0)
                        said.rights.items = items;
                for (size_t i = 0; r == 0 && i < reply->rights.n; i++)
                        r = pool_text(pool, slice_text(reply->rights.items[i]), &said.rights.items[i]);
                said.rights.n = reply->rights.n;
        }
        if (r == 0)
                *ret = said;
        return r;
}

/* ---- not accepted ---- */

static int on_reloaded(void *userdata, LoadedSecret *secret, const Failure *failure)
{
        Rotation *rotation = userdata;

        return failed(failure) ? rotation_retry(rotation, failure) : rotation_drop(rotation, secret, &rotation->why);
}

static int reject(Rotation *rotation, const Failure *why)
{
        rotation->dropping = true;
        rotation->why = *why;
        return secret_load(rotation->vault, rotation->name, on_reloaded, rotation);
}

/* A person has the value still, and sees what was wrong. What the provider made is given some time; where it has killed
 * the old one, that is all there is. */
static int not_accepted(Rotation *rotation, const Failure *failure)
{
        const RotationRecord *journal = &rotation->journal;
        bool away = rotation_is_passing(failure);

        if (journal->kind == ROTATION_GUIDED && (!away || rotation->asked))
                return reject(rotation, failure);
        if (journal->attempts < (away ? TRIES_AWAY : TRIES_NEW) || (away && journal->kind == ROTATION_REPLACE))
                return rotation_retry(rotation, failure);
        if (journal->kind == ROTATION_REPLACE)
                return rotation_needs_human(rotation, "The upstream made a new value in place of the old one, and refuses "
                                                      "it: %s",
                                            failure->message);
        return reject(rotation, failure);
}

/* ---- accepted ---- */

static int write_verified(Rotation *rotation, UNUSED void *userdata)
{
        RotationRecord none = { .attempts = 0 };

        return rotation->has_journal ? rows_rotation_attempt(rotation->vault->db, rotation->name, &none) : 0;
}

static int verified(Rotation *rotation, const char *note)
{
        Failure failure;
        int r;

        if (vault_db_failed(rotation->vault,
                            rotation_advance(rotation, ROTATION_STORED, ROTATION_VERIFIED, write_verified, NULL),
                            &failure))
                return rotation_retry(rotation, &failure);
        r = rotation_tell(rotation, "verified", 0, "%s", note);
        return r < 0 ? r : rotation_step(rotation);
}

/* Whose the new value is says the upstream, and a person sees whether that is who it was. `rest` ends the sentence. */
static int accepted(Rotation *rotation, const char *rest)
{
        const char *who = rotation->identity;
        char note[LIMIT_TEXT + 256];

        (void)snprintf(note, sizeof(note), "The upstream accepts the new value%s%s%s%s", who ? " (" : "", who ? who : "",
                       who ? ")" : "", rest);
        text_mend_end(note);
        return verified(rotation, note);
}

static int wider(Rotation *rotation, const char *right)
{
        Failure failure;

        if (rotation->journal.kind == ROTATION_REPLACE)
                return rotation_needs_human(rotation, "The new value may do more than the old one: it has \"%s\" too. It "
                                                      "is not used.",
                                            right);
        failure_set(&failure, FAULT_POLICY_DENIED, "The new value may do more than the old one: it has \"%s\" too.", right);
        (void)snprintf(failure.remedy, sizeof(failure.remedy),
                       rotation->journal.kind == ROTATION_GUIDED
                               ? "Make one with the same rights or fewer; if it is to have more, say --allow-wider."
                               : "Look at the upstream who changed its rights; or make a new value there by hand.");
        return reject(rotation, &failure);
}

/* `before` is what the old one may do. */
static int compare(Rotation *rotation, const SecretRecord *before)
{
        const char *right = "";

        if (!before->rights_known)
                return accepted(rotation, ". What the old one could do is not known, so that nobody compared them.");
        if (rights_are_within(&rotation->said.rights, &before->rights, &right))
                return accepted(rotation, "; it may do no more than the old one.");
        if (rotation->journal.allow_wider)
                return accepted(rotation, "; it may do more than the old one, as you allowed.");
        return wider(rotation, right);
}

/* The upstream told what the old one may do, and keeps that of the new one to itself. A person may have made another kind of
 * token; what the provider makes is as the old one. */
static int silent(Rotation *rotation, const SecretRecord *before)
{
        Failure failure;

        if (before->rights_known && rotation->journal.kind == ROTATION_REPLACE)
                return rotation_needs_human(rotation, "The upstream does not say what the new value may do. It is not used.");
        if (before->rights_known && rotation->journal.kind == ROTATION_CREATE) {
                failure_set(&failure, FAULT_POLICY_DENIED,
                            "The upstream does not say what the new value may do, as it does of the old one.");
                (void)snprintf(failure.remedy, sizeof(failure.remedy),
                               "Make a new value there by hand: `mcpcred rotate %s --paste`.", rotation->name);
                return reject(rotation, &failure);
        }
        return accepted(rotation, before->rights_known
                                          ? ". It does not say what that may do, so nobody compared it with the old one."
                                          : ".");
}

/* As far as the upstream has said. */
static int compare_with_known(Rotation *rotation)
{
        Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        SecretRecord record;
        Failure failure;
        int r;

        if (vault_db_failed(rotation->vault, rows_secret_get(rotation->vault->db, rotation->name, &pool, &record),
                            &failure))
                r = rotation_retry(rotation, &failure);
        else if (rotation->said.rights_known)
                r = compare(rotation, &record);
        else
                r = silent(rotation, &record);
        pool_deinit(&pool);
        return r;
}

/* What it may do now counts; what it could when it was asked last, if it cannot be asked any more. */
static int on_old_answer(Rotation *rotation, void *body, const Failure *failure)
{
        const ProviderVerifyReply *reply = body;
        SecretRecord before = { .generation = 0 };

        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): without a body there is a failure */
        if (failed(failure) || !reply->rights_known || rotation_keep_said(reply, &rotation->pool, &before) < 0)
                return compare_with_known(rotation);
        return compare(rotation, &before);
}

static int on_loaded_for_old(void *userdata, LoadedSecret *secret, const Failure *failure)
{
        Rotation *rotation = userdata;
        ProviderVerifyRequest request = { 0 };

        if (failed(failure))
                return rotation_retry(rotation, failure);
        return rotation_ask(rotation, secret, secret->item.current, PROVIDER_VERIFY, &request, on_old_answer);
}

static int on_answer(Rotation *rotation, void *body, const Failure *failure)
{
        const ProviderVerifyReply *reply = body;
        Failure mine;

        if (failed(failure))
                return not_accepted(rotation, failure);
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): without a body there is a failure */
        if (rotation_keep_said(reply, &rotation->pool, &rotation->said) < 0 ||
            (reply->identity && pool_text(&rotation->pool, slice_text(reply->identity), &rotation->identity) < 0)) {
                failure_set(&mine, FAULT_UPSTREAM_UNKNOWN, "The upstream says more of the new value than there is room for.");
                return not_accepted(rotation, &mine);
        }
        /* The provider's were asked for right before the new one was made. */
        if (rotation->said.rights_known)
                return rotation->journal.kind == ROTATION_GUIDED
                               ? secret_load(rotation->vault, rotation->name, on_loaded_for_old, rotation)
                               : compare_with_known(rotation);
        if (!reply->checked)
                return verified(rotation, "This provider cannot be asked whether the new value works.");
        return compare_with_known(rotation);
}

int rotation_verify(Rotation *rotation, LoadedSecret *secret)
{
        ProviderVerifyRequest request = { 0 };
        ProviderVerifyReply unchecked = { .checked = false };
        Failure none = { 0 };
        int r;

        if (rotation->journal.attempts == 0) {
                r = rotation_tell(rotation, "stored", secret->record.generation,
                                  "The new value is stored beside the old one.");
                if (r < 0)
                        return r;
        }
        if (!secret->info->can_verify)
                return on_answer(rotation, &unchecked, &none);
        return rotation_ask(rotation, secret, secret->item.next, PROVIDER_VERIFY, &request, on_answer);
}
