/* What a sandbox sends to its name server. */
#include "session/dns.h"
#include "target.h"
#include <stdlib.h>

static bool known(void *userdata, const char *name)
{
        if (strlen(name) > DNS_NAME_MAX)
                abort();
        return userdata == NULL && strchr(name, '.') != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t out[DNS_ANSWER_MAX];
        size_t n = dns_answer(slice(data, size), known, NULL, out);

        if (n > sizeof(out) || (n > 0 && (n < 12 || (out[2] & 0x80) == 0 || size < 12 || size > DNS_QUERY_MAX)))
                abort();
        return 0;
}
