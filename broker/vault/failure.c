#include "vault/failure.h"
#include "base/text.h"
#include <stdarg.h>
#include <stdio.h>

/* snprintf may have cut a character in two: drop bytes until what is left is whole. */
static void mend_end(char *text)
{
        size_t size = strlen(text);

        while (size > 0 && !text_is_utf8(slice(text, size)))
                text[--size] = '\0';
}

void failure_set(Failure *failure, Fault fault, const char *format, ...)
{
        va_list args;

        *failure = (Failure){ .fault = fault };
        if (format) {
                va_start(args, format);
                (void)vsnprintf(failure->message, sizeof(failure->message), format, args);
                va_end(args);
                mend_end(failure->message);
        } else {
                (void)snprintf(failure->message, sizeof(failure->message), "%s", fault_info(fault)->sentence);
        }
        (void)snprintf(failure->remedy, sizeof(failure->remedy), "%s", fault_info(fault)->remedy);
}

void failure_from_reply(Failure *failure, const Reply *reply)
{
        failure_set(failure, reply->fault, reply->message ? "%s" : NULL, reply->message);
        if (reply->remedy && reply->remedy[0])
                (void)snprintf(failure->remedy, sizeof(failure->remedy), "%s", reply->remedy);
        failure->retry_after_usec = reply->retry_after_usec;
}

int failure_answer(const Failure *failure, Request *request)
{
        FaultBody body = {
                .fault = failure->fault,
                .message = failure->message,
                .remedy = failure->remedy[0] ? failure->remedy : NULL,
                .field = failure->field[0] ? failure->field : NULL,
                .retry_after_usec = failure->retry_after_usec,
        };

        return request_fail_body(request, &body);
}
