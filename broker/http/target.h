#pragma once
/*
 * Where a request goes, in its one canonical form: what a rule is matched against is what the
 * upstream gets. Nothing is repaired but the case of hosts and what is percent-encoded: a path with
 * dot segments, empty segments ("//"), an encoded slash or dot, a backslash in either form, a fragment,
 * an encoded or plain control character, or a non-ASCII byte is refused.
 */
#include "base/buf.h"
#include "http/head.h"

#define HTTP_HOST_MAX 253U

typedef struct HttpAuthority {
        char host[HTTP_HOST_MAX + 1]; /* lower case, a DNS name of LDH labels, no trailing dot */
        uint16_t port;
} HttpAuthority;

/* "host" or "host:port". Literal addresses (also "1.2.3.4", "0x7f.1" and the like), a trailing dot,
 * user information and port 0 are HTTP_E_HOST. */
int http_parse_authority(Slice text, uint16_t default_port, HttpAuthority *ret) NODISCARD NONNULL(3);
/* Splits an absolute target: `ret_secure` for https. The rest ("/path?query", at least "/") is borrowed.
 * HTTP_E_TARGET, HTTP_E_HOST. */
int http_parse_absolute(Slice target, bool *ret_secure, HttpAuthority *ret, Slice *ret_rest) NODISCARD
        NONNULL(2, 3, 4);
/*
 * "/path?query" into canonical path and query, each NUL-terminated in its buffer, which it clears. The
 * buffers' caps are the limits, the NUL included. `ret_has_query` tells "" from none. HTTP_E_TARGET,
 * HTTP_E_TOO_LARGE.
 *
 * The path's case is kept. What is unreserved, and of a path also one of "!$&'(),:=@", is never encoded
 * ("%41" becomes "A", "%3a" becomes ":"), so that a rule need not know two forms; "*", "+" and ";" stay as
 * they came ("%2a" becomes "%2A"); what a URL may not hold as it is, as "[" or "|", is encoded. A path is UTF-8
 * when decoded, and has no segment that is dots or nothing with parameters ("..;x"). A canonical target is its own
 * canonical form.
 */
int http_canonical_target(Slice target, Buf *path, Buf *query, bool *ret_has_query) NODISCARD
        NONNULL(2, 3, 4);
/* Does a list of "host", "host:port" or "*.suffix[:port]" (one label; port 443 unless said) name it? */
bool http_host_matches(const char *pattern, const HttpAuthority *authority) NONNULL(1, 2);
