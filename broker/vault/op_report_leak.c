#include "vault/vault.h"

int op_report_leak(UNUSED Vault *vault, Request *request)
{
        return request_fail(request, FAULT_UNSUPPORTED, NULL);
}
