#pragma once
/*
 * Which addresses may be connected to: public ones, and those that the profile lists. It is asked about
 * the resolved address, at the moment when the socket is made, so that no name and no answer of a name
 * server can lead into the machine or its networks.
 */
#include "base/error.h"
#include "base/macros.h"
#include <sys/socket.h>

/* An IPv4 network in the first four bytes, or an IPv6 one. */
typedef struct Network {
        sa_family_t family; /* AF_INET or AF_INET6 */
        uint8_t address[16];
        unsigned bits;
} Network;

typedef struct Guard {
        Network *listed;
        size_t n_listed;
} Guard;

enum {
        _GUARD_E_SUCCESS,
        GUARD_E_INVALID, /* not ADDRESS or ADDRESS/BITS, or bits behind the prefix are set */
};

/* "10.1.2.0/24", "fd00:1::/32"; without "/" it is one address. GUARD_E_INVALID. */
int guard_parse_network(const char *text, Network *ret) NODISCARD NONNULL(1, 2);
/* GUARD_E_INVALID, -ENOMEM. `texts` as in EgressPolicy.addresses. */
int guard_init(Guard *guard, const char *const *texts, size_t n_texts) NODISCARD NONNULL(1);
void guard_deinit(Guard *guard);
bool guard_allows(const Guard *guard, const struct sockaddr *address, socklen_t size) NONNULL(1, 2);
