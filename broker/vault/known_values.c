#include "vault/known_values.h"
#include <sodium.h>
#include <stdio.h>

/* A year and a month: scans of old backups come once a year. */
#define KEEP_REMOVED_USEC (400 * 86400 * USEC_PER_SEC)
#define PRUNE_ROWS 1000U

/* ---- the canonical form ---- */

static bool is_canonical(Slice value)
{
        return !memchr(value.data, '\r', value.size) && value.data[value.size - 1] != '\n';
}

int known_values_canonical(Slice value, Arena *arena, Secret **ret)
{
        _cleanup_(secret_freep) Secret *copy = NULL;
        size_t capacity, n = 0;
        uint8_t *out;
        int r;

        *ret = NULL;
        if (is_canonical(value))
                return 0;
        r = secret_new(&copy, arena, value.size);
        if (r)
                return r < 0 ? r : DB_E_NO_SPACE;
        out = secret_buffer(copy, &capacity);
        for (size_t i = 0; i < value.size; i++)
                if (value.data[i] != '\r' || i + 1 == value.size || value.data[i + 1] != '\n')
                        out[n++] = value.data[i];
        while (n > 0 && (out[n - 1] == '\n' || out[n - 1] == '\r'))
                n--;
        secret_set_size(copy, n);
        *ret = take_ptr(copy);
        return 0;
}

static int hash_value(Vault *vault, const Secret *value, uint8_t hash[SEAL_HASH_SIZE])
{
        _cleanup_(secret_freep) Secret *copy = NULL;
        Slice bytes = secret_slice(value);
        int r;

        if (!vault->seal)
                return DB_E_SEALED;
        if (bytes.size == 0)
                return -EINVAL;
        r = known_values_canonical(bytes, vault->role.arena, &copy);
        if (r == 0)
                seal_token_hash(vault->seal, copy ? secret_slice(copy) : bytes, hash);
        return r;
}

/* ---- noting ---- */

int known_values_note(Vault *vault, const char *secret, uint64_t generation, const Secret *value)
{
        uint8_t hash[SEAL_HASH_SIZE];
        int r = hash_value(vault, value, hash);

        return r ? r : rows_secret_value_note(vault->db, hash, secret, generation, vault_now(vault));
}

int known_values_has(Vault *vault, const Secret *value, bool *ret)
{
        SecretValueRecord found[SECRET_VALUE_SHARED_MAX];
        uint8_t hash[SEAL_HASH_SIZE];
        size_t n = 0;
        int r = hash_value(vault, value, hash);

        if (r == 0)
                r = rows_secret_value_find(vault->db, hash, found, &n);
        *ret = n > 0;
        return r;
}

int known_values_removed(Vault *vault, const char *secret)
{
        return rows_secret_value_set_removed(vault->db, secret, vault_now(vault));
}

/* One of the item's values, unless it is noted, or there is none. */
static int catch_up_one(Vault *vault, const LoadedSecret *secret, uint64_t generation, const Secret *value)
{
        bool noted = true;
        int r = 0;

        if (!value || secret_size(value) == 0)
                return 0;
        r = rows_secret_value_has(vault->db, secret->record.name, generation, &noted);
        if (r == 0 && !noted)
                r = known_values_note(vault, secret->record.name, generation, value);
        return r;
}

void known_values_catch_up(Vault *vault, const LoadedSecret *secret)
{
        const SecretItem *item = &secret->item;
        Failure ignored;
        int r;

        if (db_in_transaction(vault->db))
                return; /* somebody else's: it is not to be rolled back for this */
        r = catch_up_one(vault, secret, item->generation, item->current);
        if (r == 0)
                r = catch_up_one(vault, secret, item->generation + 1, item->next);
        if (r == 0 && item->generation > 1)
                r = catch_up_one(vault, secret, item->generation - 1, item->previous);
        (void)vault_db_failed(vault, r, &ignored);
}

/* ---- at the start ---- */

typedef struct CatchUp {
        Vault *vault;
        char after[LIMIT_NAME + 1];
} CatchUp;

static int load_next(CatchUp *job);

/* Loading has noted it; why it could not be is said where somebody needs the secret. */
static int on_loaded(void *userdata, UNUSED LoadedSecret *secret, UNUSED const Failure *failure)
{
        return load_next(userdata);
}

/* The next secret behind job->after whose current value is not noted. DB_E_NOT_FOUND. */
static int next_unnoted(CatchUp *job)
{
        bool noted = true;
        int r = 0;

        while (r == 0 && noted) {
                Pool pool = POOL_NULL(4U * CHANNEL_FRAME_MAX);
                SecretRecord *record;
                size_t n = 0;

                r = rows_secret_list(job->vault->db, job->after, 1, &pool, &record, &n);
                if (r == 0 && n == 0)
                        r = DB_E_NOT_FOUND;
                if (r == 0) {
                        (void)snprintf(job->after, sizeof(job->after), "%s", record->name);
                        r = rows_secret_value_has(job->vault->db, record->name, record->generation, &noted);
                }
                pool_deinit(&pool);
        }
        return r;
}

static int load_next(CatchUp *job)
{
        Failure ignored;
        int r = job->vault->store.ready ? next_unnoted(job) : DB_E_NOT_FOUND;

        if (r == 0)
                return secret_load(job->vault, job->after, on_loaded, job);
        if (r != DB_E_NOT_FOUND)
                (void)vault_db_failed(job->vault, r, &ignored);
        free(job);
        return 0;
}

int known_values_catch_up_all(Vault *vault)
{
        CatchUp *job = calloc(1, sizeof(*job));

        if (!job)
                return -ENOMEM;
        job->vault = vault;
        return load_next(job);
}

/* ---- looking ---- */

const char *known_values_state(const SecretValueRecord *value, const SecretRecord *record)
{
        if (!record || value->removed > 0)
                return "old";
        if (value->generation == record->generation)
                return "current";
        if (record->step != ROTATION_NONE && record->step < ROTATION_SWITCHED &&
            value->generation == record->next_generation)
                return "next";
        if (record->step >= ROTATION_SWITCHED && value->generation + 1 == record->generation)
                return "previous";
        return "old";
}

int known_values_prune(Vault *vault)
{
        uint64_t now = vault_now(vault), n;

        return rows_secret_value_prune(vault->db, now - MIN(now, KEEP_REMOVED_USEC), PRUNE_ROWS, &n);
}
