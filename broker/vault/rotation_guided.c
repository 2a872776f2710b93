/* A person makes the new value upstream and pastes it. Until it is stored, whoever pasted it has it too. */
#include "vault/rotation.h"
#include "vault/secret_revocation.h"
#include <stdio.h>

/* Where a person is needed already, why that is is kept, for whoever has to be told again; a value that the upstream
 * made and was of no use is not. */
static int write_begin(Rotation *rotation, void *userdata)
{
        RotationRecord *stands = userdata, *journal = &rotation->journal;
        int r = 0;

        if (journal->stuck)
                r = rows_rotation_get(rotation->vault->db, rotation->name, stands);
        if (journal->stuck && r == 0) {
                memcpy(journal->problem, stands->problem, sizeof(journal->problem));
                r = rotation_provider_end_made(rotation, stands);
        }
        return r == 0 || r == DB_E_NOT_FOUND ? rows_rotation_begin(rotation->vault->db, rotation->name, journal) : r;
}

int rotation_guided_begin(Rotation *rotation, LoadedSecret *secret)
{
        RotationRecord stands, *journal = &rotation->journal;
        Failure failure = { 0 };

        if (!secret_value_is_valid(secret->info, rotation->value, rotation->vault->role.arena, &failure) ||
            !secret_revocation_allows(rotation->vault, rotation->value, &failure))
                return rotation_fail(rotation, &failure);
        if (secret_equal(secret->item.current, secret_slice(rotation->value))) {
                failure_set(&failure, FAULT_INVALID_PARAMETER, "This is the value that is in use already.");
                return rotation_fail(rotation, &failure);
        }
        journal->kind = ROTATION_GUIDED;
        journal->began = vault_now(rotation->vault);
        (void)snprintf(journal->old_secret_id, sizeof(journal->old_secret_id), "%s",
                       secret->record.secret_id ? secret->record.secret_id : "");
        journal->stuck = secret->record.step == ROTATION_NEEDS_HUMAN;
        if (vault_db_failed(rotation->vault,
                            rotation_advance(rotation, ROTATION_NONE, ROTATION_PLANNED, write_begin, &stands), &failure))
                return rotation_fail(rotation, &failure);
        rotation->first = false;
        return rotation_step(rotation);
}
