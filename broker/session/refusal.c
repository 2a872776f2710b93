#include "session/refusal.h"
#include "http/writer.h"
#include <inttypes.h>
#include <stdio.h>

#define BODY_MAX 4096U

static const Refusal refusals[_REFUSAL_END] = {
        [REFUSAL_HOST] = { 403, "host-denied", "No profile of this session allows this host.", 0, true, REPORT_DENIED },
        [REFUSAL_PLAIN_HTTP] = { 403, "plain-http", "Only https is passed on: ask for https:// instead.", 0, true,
                                 REPORT_DENIED },
        [REFUSAL_MISMATCH] = { 421, "host-mismatch",
                               "The hosts of CONNECT, of the TLS server name and of the Host header differ.", 0, true,
                               REPORT_REFUSED },
        [REFUSAL_NOT_PROXY] = { 400, "target", "This is an HTTP proxy: use CONNECT, or an endpoint's base URL.", 0, false,
                                REPORT_REFUSED },
        [REFUSAL_NAMELESS] = { 400, "sni", "TLS without a server name that may be reached.", 0, true, REPORT_REFUSED },
        [REFUSAL_HANDLE_PLACE] = { 403, "handle-place",
                                   "The handle stands where the profile's credential is not sent: it is refused, so "
                                   "that it cannot be published.",
                                   0, true, REPORT_DENIED },
        [REFUSAL_HANDLE_HOST] = { 403, "handle-host", "The handle may not be used at this host.", 0, true,
                                  REPORT_MISUSE },
        /* Reported by Misuse, with the handle. */
        [REFUSAL_FOREIGN_HANDLE] = { 403, "foreign-handle", "This handle is not this session's.", 0, false,
                                     REPORT_MISUSE },
        [REFUSAL_WEBSOCKET] = { 403, "websocket", "The profile does not allow WebSockets (websocket = yes).", 0, true,
                                REPORT_DENIED },
        [REFUSAL_ENCODING] = { 400, "header-encoding", "A header's value is not UTF-8.", 0, true, REPORT_REFUSED },
        [REFUSAL_PROXY_AUTH] = { 407, "proxy-auth", "This port asks for a handle of the session as its password.", 0, true,
                                 REPORT_REFUSED },
        [REFUSAL_ORIGIN] = { 403, "origin", "This port does not answer to web pages.", 0, true, REPORT_REFUSED },
        [REFUSAL_LOOPBACK_HOST] = { 403, "loopback-host", "This port answers to its own name alone.", 0, true,
                                    REPORT_REFUSED },
        [REFUSAL_FORM_TOO_LARGE] = { 413, "form-size", "The form is too large to be looked through for a handle.", 0, true,
                                     REPORT_DENIED },
        [REFUSAL_UNCONFIGURED] = { 503, "unavailable", "The broker does not answer at the moment.", 1, false,
                                   REPORT_REFUSED },
        [REFUSAL_EGRESS_GONE] = { 502, "egress-gone", "The way out broke off; it is being restarted.", 1, false,
                                  REPORT_REFUSED },
        [REFUSAL_BUSY] = { 503, "busy", "Too many requests of this profile are under way.", 1, true, REPORT_DENIED },
        [REFUSAL_SLOW] = { 408, "timeout", "The request did not come whole in time.", 0, false, REPORT_REFUSED },
};

Refusal refusal_of(int code)
{
        const HttpErrorInfo *info;

        if (code >= REFUSAL_HOST && code < _REFUSAL_END)
                return refusals[code];
        info = http_error_info((HttpError)code);
        return (Refusal){
                .status = info->status,
                .reason = info->reason,
                .message = info->sentence,
                .audited = true,
                .kind = REPORT_REFUSED,
        };
}

/* A JSON string's inside. Bytes behind ASCII stay: texts of the wire are UTF-8. */
static int put_escaped(Buf *out, const char *text)
{
        int r = 0;

        for (; r == 0 && *text; text++) {
                if (*text == '"' || *text == '\\')
                        r = buf_printf(out, "\\%c", *text);
                else if ((unsigned char)*text < 0x20)
                        r = buf_printf(out, "\\u%04x", (unsigned char)*text);
                else
                        r = buf_append_u8(out, (uint8_t)*text);
        }
        return r;
}

static int write_body(const Refusal *refusal, Buf *body)
{
        int r = buf_append_text(body, "{\"error\":{\"reason\":\"");

        if (r == 0)
                r = put_escaped(body, refusal->reason);
        if (r == 0)
                r = buf_append_text(body, "\",\"message\":\"");
        if (r == 0)
                r = put_escaped(body, refusal->message);
        return r < 0 ? r : buf_append_text(body, "\"}}\n");
}

static int put_header(Buf *out, const char *name, const char *value)
{
        return http_write_header(out, slice_text(name), slice_text(value));
}

static int write_head(const Refusal *refusal, bool closes, size_t length, Buf *out)
{
        char seconds[24];
        int r = http_write_status_line(out, refusal->status);

        if (r == 0)
                r = put_header(out, "x-mcpcred-reason", refusal->reason);
        if (r == 0)
                r = put_header(out, "content-type", "application/json");
        if (r == 0 && refusal->status == 407)
                r = put_header(out, "proxy-authenticate", "Basic realm=\"mcpcred\"");
        if (r == 0 && refusal->retry_after > 0) {
                (void)snprintf(seconds, sizeof(seconds), "%" PRIu64, refusal->retry_after);
                r = put_header(out, "retry-after", seconds);
        }
        if (r == 0 && closes)
                r = put_header(out, "connection", "close");
        if (r == 0)
                r = http_write_framing(out, HTTP_BODY_LENGTH, length);
        return r < 0 ? r : http_write_end(out);
}

int refusal_write(const Refusal *refusal, bool closes, bool head_request, Buf *out)
{
        Buf body = BUF_NULL(BODY_MAX);
        int r = write_body(refusal, &body);

        if (r == 0)
                r = write_head(refusal, closes, body.size, out);
        if (r == 0 && !head_request)
                r = buf_append(out, body.data, body.size);
        buf_deinit(&body);
        return r;
}
