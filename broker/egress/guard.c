#include "egress/guard.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define V4_SIZE 4U
#define V6_SIZE 16U

typedef struct Block {
        uint8_t address[V6_SIZE];
        unsigned bits;
} Block;

/* IPv4 that is not for the public (IANA's special-purpose registry), and what clouds answer on. */
static const Block v4_refused[] = {
        { { 0 }, 8 },              /* "this network" */
        { { 10 }, 8 },             /* private */
        { { 100, 64 }, 10 },       /* carrier-grade NAT; Alibaba's metadata at 100.100.100.200 */
        { { 127 }, 8 },            /* loopback */
        { { 168, 63, 129, 16 }, 32 }, /* Azure's host */
        { { 169, 254 }, 16 },      /* link-local, and with it the metadata address */
        { { 172, 16 }, 12 },       /* private */
        { { 192, 0, 0 }, 24 },     /* protocol assignments; Oracle's metadata at 192.0.0.192 */
        { { 192, 0, 2 }, 24 },     /* documentation */
        { { 192, 88, 99 }, 24 },   /* 6to4 relays */
        { { 192, 168 }, 16 },      /* private */
        { { 198, 18 }, 15 },       /* benchmarks */
        { { 198, 51, 100 }, 24 },  /* documentation */
        { { 203, 0, 113 }, 24 },   /* documentation */
        { { 224 }, 4 },            /* multicast */
        { { 240 }, 4 },            /* reserved, and broadcast */
};

/* Of IPv6 only this is for the public, ... */
static const Block v6_global = { { 0x20 }, 3 };
/* ... without these. */
static const Block v6_refused[] = {
        { { 0x20, 0x01 }, 23 },             /* protocol assignments, Teredo and ORCHID among them */
        { { 0x20, 0x01, 0x0d, 0xb8 }, 32 }, /* documentation */
        { { 0x3f, 0xff }, 20 },             /* documentation */
};

/* Where an IPv4 address stands in an IPv6 one. */
static const Block v6_mapped = { { [10] = 0xff, [11] = 0xff }, 96 };
static const Block v6_nat64 = { { 0x00, 0x64, 0xff, 0x9b }, 96 };
static const Block v6_6to4 = { { 0x20, 0x02 }, 16 };

static bool within(const uint8_t *address, const uint8_t *network, unsigned bits)
{
        unsigned bytes = bits / 8, rest = bits % 8;

        if (memcmp(address, network, bytes) != 0)
                return false;
        return rest == 0 || ((address[bytes] ^ network[bytes]) >> (8 - rest)) == 0;
}

static bool is_in(const uint8_t *address, const Block *blocks, size_t n_blocks)
{
        for (size_t i = 0; i < n_blocks; i++)
                if (within(address, blocks[i].address, blocks[i].bits))
                        return true;
        return false;
}

static bool v4_is_public(const uint8_t *address)
{
        return !is_in(address, v4_refused, ARRAY_SIZE(v4_refused));
}

/* A translator or a tunnel leads to the IPv4 address inside. */
static bool v6_is_public(const uint8_t *address)
{
        if (is_in(address, &v6_nat64, 1))
                return v4_is_public(address + 12);
        if (is_in(address, &v6_6to4, 1))
                return v4_is_public(address + 2);
        return is_in(address, &v6_global, 1) && !is_in(address, v6_refused, ARRAY_SIZE(v6_refused));
}

/* Decimal without sign, white space or a leading zero, which some read as octal. */
static int parse_bits(const char *text, unsigned max, unsigned *ret)
{
        unsigned value = 0;

        if (!*text || (text[0] == '0' && text[1]))
                return GUARD_E_INVALID;
        for (; *text; text++) {
                if (*text < '0' || *text > '9')
                        return GUARD_E_INVALID;
                value = value * 10 + (unsigned)(*text - '0');
                if (value > max)
                        return GUARD_E_INVALID;
        }
        *ret = value;
        return 0;
}

static bool host_bits_are_clear(const Network *network, size_t size)
{
        for (size_t i = 0; i < size * 8; i++)
                if (i >= network->bits && (network->address[i / 8] >> (7 - i % 8) & 1))
                        return false;
        return true;
}

int guard_parse_network(const char *text, Network *ret)
{
        const char *slash = strchr(text, '/');
        size_t size = slash ? (size_t)(slash - text) : strlen(text);
        char address[INET6_ADDRSTRLEN];
        Network network = { .family = AF_INET };
        size_t bytes = V4_SIZE;
        int r = 0;

        if (size == 0 || size >= sizeof(address))
                return GUARD_E_INVALID;
        memcpy(address, text, size);
        address[size] = '\0';
        if (inet_pton(AF_INET, address, network.address) != 1) {
                if (inet_pton(AF_INET6, address, network.address) != 1)
                        return GUARD_E_INVALID;
                network.family = AF_INET6;
                bytes = V6_SIZE;
        }
        network.bits = (unsigned)bytes * 8;
        if (slash)
                r = parse_bits(slash + 1, network.bits, &network.bits);
        if (r || !host_bits_are_clear(&network, bytes))
                return GUARD_E_INVALID;
        *ret = network;
        return 0;
}

int guard_init(Guard *guard, const char *const *texts, size_t n_texts)
{
        *guard = (Guard){ 0 };
        if (n_texts == 0)
                return 0;
        guard->listed = calloc(n_texts, sizeof(*guard->listed));
        if (!guard->listed)
                return -ENOMEM;
        guard->n_listed = n_texts;
        for (size_t i = 0; i < n_texts; i++) {
                int r = guard_parse_network(texts[i], &guard->listed[i]);

                if (r) {
                        guard_deinit(guard);
                        return r;
                }
        }
        return 0;
}

void guard_deinit(Guard *guard)
{
        free(guard->listed);
        *guard = (Guard){ 0 };
}

static bool is_listed(const Guard *guard, sa_family_t family, const uint8_t *address)
{
        for (size_t i = 0; i < guard->n_listed; i++)
                if (guard->listed[i].family == family &&
                    within(address, guard->listed[i].address, guard->listed[i].bits))
                        return true;
        return false;
}

bool guard_allows(const Guard *guard, const struct sockaddr *address, socklen_t size)
{
        struct sockaddr_in6 v6;
        struct sockaddr_in v4;
        const uint8_t *bytes;

        if (address->sa_family == AF_INET && size >= sizeof(v4)) {
                memcpy(&v4, address, sizeof(v4));
                bytes = (const uint8_t *)&v4.sin_addr;
                return is_listed(guard, AF_INET, bytes) || v4_is_public(bytes);
        }
        if (address->sa_family != AF_INET6 || size < sizeof(v6))
                return false;
        memcpy(&v6, address, sizeof(v6));
        bytes = v6.sin6_addr.s6_addr;
        if (is_in(bytes, &v6_mapped, 1)) /* the kernel speaks IPv4 then */
                return is_listed(guard, AF_INET, bytes + 12) || v4_is_public(bytes + 12);
        return is_listed(guard, AF_INET6, bytes) || v6_is_public(bytes);
}
