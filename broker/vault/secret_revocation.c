#include "vault/secret_revocation.h"

int secret_revocation_insert(UNUSED Vault *vault, UNUSED const SecretRevocation *revocation,
                             UNUSED char ret_lease[IDENT_ID_SIZE + 1])
{
        return -ENOSYS;
}
