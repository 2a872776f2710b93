#include "vault/secret_load.h"
#include "vault/jwt.h"
#include "vault/known_values.h"
#include <stdio.h>

typedef struct Loading {
        Vault *vault;
        SecretLoadDone done;
        void *userdata;
        LoadedSecret secret;
} Loading;

static int finish(Loading *loading, const Failure *failure)
{
        int r = loading->done(loading->userdata, failed(failure) ? NULL : &loading->secret, failure);

        secret_item_clear(&loading->secret.item);
        pool_deinit(&loading->secret.pool);
        free(loading);
        return r;
}

/* The generation of the state, or the next one while a rotation is about to switch to it. */
static bool generation_fits(const SecretRecord *record, uint64_t generation)
{
        return generation == record->generation ||
               (record->step == ROTATION_VERIFIED && generation == record->next_generation);
}

static void check_item(LoadedSecret *secret, Failure *failure)
{
        SecretBinding binding = {
                .provider = secret->record.provider,
                .base_url = secret->record.base_url,
                .hosts = secret->record.hosts,
                .parameters = secret->record.parameters,
        };

        if (!generation_fits(&secret->record, secret->item.generation))
                failure_set(failure, FAULT_ROLLBACK,
                            "The keyring has generation %llu of secret %s, and the state has %llu: one of them is an "
                            "older copy.",
                            (unsigned long long)secret->item.generation, secret->record.name,
                            (unsigned long long)secret->record.generation);
        else if (!secret_binding_equal(&binding, secret->item.binding))
                failure_set(failure, FAULT_ROLLBACK,
                            "Secret %s is bound to another upstream in the keyring than in the state.",
                            secret->record.name);
}

static int on_item(void *userdata, Secret *value, const Failure *failure)
{
        Loading *loading = userdata;
        LoadedSecret *secret = &loading->secret;
        Failure mine = *failure;
        int r;

        if (!failed(&mine) && !value)
                failure_set(&mine, FAULT_ROLLBACK, "The keyring has no item for secret %s.", secret->record.name);
        if (!failed(&mine)) {
                /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): without one it has failed */
                r = secret_item_decode(value, loading->vault->role.arena, &secret->pool, &secret->item);
                if (r > 0)
                        failure_set(&mine, r == SECRET_ITEM_E_FULL ? FAULT_BUSY : FAULT_STORE_DAMAGED,
                                    "The keyring's item for secret %s cannot be read.", secret->record.name);
                else if (r < 0)
                        failure_set(&mine, FAULT_INTERNAL, NULL);
        }
        secret_free(value);
        if (!failed(&mine))
                check_item(secret, &mine);
        if (!failed(&mine))
                known_values_catch_up(loading->vault, secret);
        return finish(loading, &mine);
}

int secret_load(Vault *vault, const char *name, SecretLoadDone done, void *userdata)
{
        Loading *loading = calloc(1, sizeof(*loading));
        Failure failure = { 0 };
        int r;

        if (!loading)
                return -ENOMEM;
        loading->vault = vault;
        loading->done = done;
        loading->userdata = userdata;
        loading->secret.pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        r = rows_secret_get(vault->db, name, &loading->secret.pool, &loading->secret.record);
        if (r == DB_E_NOT_FOUND)
                failure_set(&failure, FAULT_NOT_FOUND, "There is no secret %s; `mcpcred add` stores one.", name);
        else if (!vault_db_failed(vault, r, &failure)) {
                loading->secret.info = provider_info(loading->secret.record.provider);
                if (!loading->secret.info)
                        failure_set(&failure, FAULT_UNSUPPORTED, "This build has no provider %s.",
                                    loading->secret.record.provider);
        }
        if (failed(&failure))
                return finish(loading, &failure);
        return keyring_client_load(vault->keyring, name, on_item, loading);
}

static bool github_jwt(Vault *vault, const TextMap *parameters, const Secret *value, Secret **ret,
                       Failure *failure)
{
        const char *app_id = text_map_get(parameters, "app_id");
        int r = jwt_sign(value, app_id ? app_id : "", vault_now(vault), vault->role.arena, ret);

        if (r > 0)
                failure_set(failure, r == JWT_E_FULL ? FAULT_BUSY : FAULT_INVALID_PARAMETER,
                            "The private key cannot be used: %s", jwt_strerror(r));
        else if (r < 0)
                failure_set(failure, FAULT_INTERNAL, NULL);
        return r == 0;
}

/* It goes over the edge to one provider process, and the copy is wiped when that was asked. */
static bool copy_of(Vault *vault, const Secret *value, Secret **ret, Failure *failure)
{
        int r = secret_from_bytes(ret, vault->role.arena, secret_slice(value));

        if (r)
                failure_set(failure, r > 0 ? FAULT_BUSY : FAULT_INTERNAL, NULL);
        return r == 0;
}

bool secret_proof(Vault *vault, const ProviderInfo *info, const TextMap *parameters, const Secret *value,
                  Secret **ret, Failure *failure)
{
        *ret = NULL;
        switch (info->proof) {
        case PROVIDER_PROOF_NONE:
                return true;
        case PROVIDER_PROOF_GITHUB_JWT:
                return github_jwt(vault, parameters, value, ret, failure);
        case PROVIDER_PROOF_RAW:
                return copy_of(vault, value, ret, failure);
        }
        failure_set(failure, FAULT_INTERNAL, NULL);
        return false;
}

bool secret_value_is_valid(const ProviderInfo *info, const Secret *value, Arena *arena, Failure *failure)
{
        char fingerprint[JWT_FINGERPRINT_SIZE];
        const char *problem = NULL;
        int r;

        if (secret_size(value) > SECRET_ITEM_VALUE_MAX) {
                failure_set(failure, FAULT_INVALID_PARAMETER, "The value is longer than %u bytes.",
                            SECRET_ITEM_VALUE_MAX);
                return false;
        }
        if (info->value == PROVIDER_VALUE_RSA_KEY_PEM) {
                r = jwt_key_fingerprint(value, arena, fingerprint);
                if (r)
                        failure_set(failure, FAULT_INVALID_PARAMETER, "The private key cannot be used: %s", jwt_strerror(r));
        } else {
                problem = provider_check_value(info, secret_slice(value));
                r = problem ? -EINVAL : 0;
                if (problem)
                        failure_set(failure, FAULT_INVALID_PARAMETER, "%s", problem);
        }
        if (r)
                (void)snprintf(failure->field, sizeof(failure->field), "value");
        return r == 0;
}
