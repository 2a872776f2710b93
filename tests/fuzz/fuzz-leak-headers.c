/* The headers of a webhook, and behind an empty line its public keys: neither may lead to a signature that is good. */
#include "leak_headers.h"
#include "leak_signature.h"
#include "target.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        LeakText text = leak_text((const char *)data, size);
        LeakText keys = leak_text_skip(text, leak_text_find(text, "\n\n"));
        LeakHeaders headers;

        if (leak_headers_read(text, &headers) &&
            leak_signature_check(leak_text("a body that nobody signed", 25), keys, headers.partner_key,
                                 headers.partner_signature) == 0)
                abort();
        return 0;
}
