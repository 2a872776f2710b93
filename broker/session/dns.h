#pragma once
/*
 * The name server of a sandbox that has no network: names that may be reached are the sandbox's own
 * loopback, where its session's process listens; there are no others. Pure: a query in, an answer out.
 */
#include "base/error.h"
#include "base/slice.h"

/* A query without extensions that matter has no more (RFC 1035 section 4.2.1), and EDNS adds little. */
#define DNS_QUERY_MAX  512U
#define DNS_ANSWER_MAX 512U
#define DNS_NAME_MAX   253U
/* Short, since the answer never changes but what it is good for ends with the session. */
#define DNS_TTL_SECONDS 60U

/* Whether the name, in lower case and without a dot at its end, is one that may be reached. */
typedef bool (*DnsKnown)(void *userdata, const char *name);

/*
 * Writes the answer, and returns its size: 0 for what gets none, since it is not a query. Types other
 * than A and AAAA have no records; what is malformed or not supported gets the code that says so.
 */
size_t dns_answer(Slice query, DnsKnown known, void *userdata, uint8_t out[DNS_ANSWER_MAX]) NONNULL(2, 4);
