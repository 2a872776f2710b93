#include "vault/vault.h"

int op_verify_webhook(UNUSED Vault *vault, Request *request)
{
        return request_fail(request, FAULT_UNSUPPORTED, NULL);
}
