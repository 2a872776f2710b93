#include "providers/provider.h"
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

int operation_fail(Operation *operation, Fault fault, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)vsnprintf(operation->message, sizeof(operation->message), format, args);
        va_end(args);
        return (int)fault;
}

int operation_fail_field(Operation *operation, const char *prefix, const char *field,
                         const char *problem)
{
        (void)snprintf(operation->field, sizeof(operation->field), "%s%s", prefix, field);
        return operation_fail(operation, FAULT_INVALID_PARAMETER, "%s: %s", operation->field,
                              problem);
}

const char *operation_base_url(const Operation *operation)
{
        return operation->upstream->base_url ? operation->upstream->base_url
                                             : operation->info->base_url;
}

const char *operation_parameter(const Operation *operation, const char *name)
{
        return text_map_get(&operation->upstream->parameters, name);
}

uint64_t operation_time_left(const Operation *operation)
{
        uint64_t now = clock_boot(operation->clock);

        return operation->deadline_usec > now ? operation->deadline_usec - now : 0;
}

static int fail_transport(Operation *operation, HttpsError error, const char *reason)
{
        switch (error) {
        case HTTPS_E_NOT_SENT:
                return operation_fail(
                        operation, FAULT_UPSTREAM_UNREACHABLE,
                        "The upstream cannot be reached, so nothing happened there: %s.", reason);
        case HTTPS_E_LOST:
        case HTTPS_E_TOO_LARGE:
                return operation_fail(operation, FAULT_UPSTREAM_UNKNOWN,
                                      "The upstream was asked, and its reply was lost: %s.",
                                      reason);
        case HTTPS_E_INVALID:
                return operation_fail(operation, FAULT_INVALID_PARAMETER,
                                      "The request cannot be sent: a URL or a credential with "
                                      "characters that have no "
                                      "place in it.");
        case HTTPS_E_ABORTED:
        case _HTTPS_E_SUCCESS:
                break;
        }
        return -ECANCELED;
}

int operation_send(Operation *operation, HttpsRequest *request, const char *path,
                   HttpsResponse *ret)
{
        Buf url = BUF_NULL(2 * 2048);
        int r;

        request->timeout_usec = operation_time_left(operation);
        if (request->timeout_usec == 0)
                return operation_fail(
                        operation, FAULT_UPSTREAM_UNREACHABLE,
                        "The time for this operation was over before the upstream was asked.");
        r = https_url(&url, operation_base_url(operation), path);
        if (r == 0) {
                request->url = (const char *)url.data;
                r = https_perform(operation->https, request, ret);
                if (r != HTTPS_E_NOT_SENT && r != HTTPS_E_INVALID)
                        operation->asked = true;
        }
        request->url = NULL;
        buf_deinit(&url);
        return r > 0 ? fail_transport(operation, (HttpsError)r, ret->reason) : r;
}

int operation_only_read(Operation *operation, int r)
{
        if (r)
                operation->asked = false;
        return r == FAULT_UPSTREAM_UNKNOWN ? FAULT_UPSTREAM_UNREACHABLE : r;
}

bool operation_sleep(const Operation *operation, uint64_t usec)
{
        struct timespec pause = {
                .tv_sec = (time_t)(usec / USEC_PER_SEC),
                .tv_nsec = (long)(usec % USEC_PER_SEC) * 1000,
        };

        if (operation_time_left(operation) <= usec)
                return false;
        while (nanosleep(&pause, &pause) < 0 && errno == EINTR)
                ;
        return true;
}
