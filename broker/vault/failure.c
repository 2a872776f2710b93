#include "vault/failure.h"
#include "base/text.h"
#include <stdarg.h>
#include <stdio.h>

void failure_set(Failure *failure, Fault fault, const char *format, ...)
{
        va_list args;

        *failure = (Failure){ .fault = fault };
        if (format) {
                va_start(args, format);
                (void)vsnprintf(failure->message, sizeof(failure->message), format, args);
                va_end(args);
                text_mend_end(failure->message);
        } else {
                (void)snprintf(failure->message, sizeof(failure->message), "%s", fault_info(fault)->sentence);
        }
        (void)snprintf(failure->remedy, sizeof(failure->remedy), "%s", fault_info(fault)->remedy);
}

void failure_from_reply(Failure *failure, const Reply *reply)
{
        failure_set(failure, reply->fault, reply->message ? "%s" : NULL, reply->message);
        if (reply->remedy && reply->remedy[0]) {
                (void)snprintf(failure->remedy, sizeof(failure->remedy), "%s", reply->remedy);
                text_mend_end(failure->remedy);
        }
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
