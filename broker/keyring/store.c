#include "keyring/store.h"
#include <stdarg.h>
#include <stdio.h>

int store_fail(Report *report, Fault fault, const char *remedy, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)vsnprintf(report->message, sizeof(report->message), format, args);
        va_end(args);
        report->remedy = remedy;
        return (int)fault;
}

int store_secret_fault(Report *report, int r)
{
        if (r == SECRET_E_TOO_LONG)
                return store_fail(report, FAULT_STORE_DAMAGED, NULL,
                                  "The item is longer than %u bytes.", SECRET_MAX);
        if (r > 0)
                return store_fail(report, FAULT_BUSY, NULL, "The keyring role has no memory left.");
        return r;
}

Store *store_free(Store *store)
{
        if (store)
                store->vtable->free(store);
        return NULL;
}
