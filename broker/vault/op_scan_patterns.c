#include "vault/vault.h"

int op_scan_patterns(UNUSED Vault *vault, Request *request)
{
        return request_fail(request, FAULT_UNSUPPORTED, NULL);
}
