/* The head of an upstream's response, line by line as libcurl hands it on. */
#include "providers/github_reply.h"
#include "providers/json.h"
#include "target.h"
#include <stdlib.h>

#define NOW (UINT64_C(1767225600) * USEC_PER_SEC)
#define DAY (24 * 3600 * USEC_PER_SEC)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        ResponseHead head = { 0 };
        uint64_t wait;
        Fault fault;

        while (size > 0) {
                const uint8_t *end = memchr(data, '\n', size);
                size_t line = end ? (size_t)(end - data) + 1 : size;

                response_head_line(&head, slice(data, line));
                data += line;
                size -= line;
        }
        if (head.status > 599 || strlen(head.content_type) >= RESPONSE_CONTENT_TYPE_MAX)
                abort();
        wait = response_retry_after(&head, NOW);
        if (wait < USEC_PER_SEC || wait > DAY)
                abort();
        fault = github_classify(&head, SLICE_NULL, NOW, &wait);
        if ((fault == FAULT_UPSTREAM_RATE_LIMITED) != (wait > 0))
                abort();
        return 0;
}
