#undef NDEBUG
#include "egress/guard.h"
#include "../base/suite.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static bool allows(const Guard *guard, const char *text)
{
        struct sockaddr_in v4 = { .sin_family = AF_INET };
        struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

        if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
                return guard_allows(guard, (void *)&v4, sizeof(v4));
        ck_assert_int_eq(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
        return guard_allows(guard, (void *)&v6, sizeof(v6));
}

static Guard listing(const char *text)
{
        Guard guard;

        ck_assert_int_eq(guard_init(&guard, &text, 1), 0);
        return guard;
}

START_TEST(public_addresses_pass)
{
        static const char *const addresses[] = {
                "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
                "128.0.0.0", "140.82.121.6", "168.63.129.15", "169.253.255.255", "169.255.0.0", "172.15.255.255",
                "172.32.0.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
                "2606:4700::1111", "2a00:1450::1", "2001:200::1", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1",
                "2002:101:101::1",
        };
        Guard guard = { 0 };

        for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
                ck_assert_msg(allows(&guard, addresses[i]), "%s", addresses[i]);
}
END_TEST

START_TEST(others_are_refused)
{
        static const char *const addresses[] = {
                "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1",
                "127.255.255.255", "168.63.129.16", "169.254.169.254", "169.254.0.1", "172.16.0.1", "172.31.255.255",
                "192.0.0.192", "192.0.2.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1",
                "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
                "::", "::1", "::127.0.0.1", "::1.1.1.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
                "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::7f00:1",
                "64:ff9b:1::1.1.1.1", "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:10::1",
                "2001:1ff::1", "2001:db8::1", "2002:7f00:1::1", "2002:a00:1::1", "2002:a9fe:a9fe::", "3fff::1",
                "4000::1", "fc00::1", "fd00:ec2::254", "fd12:3456::1", "fe80::1", "febf::1", "fec0::1", "ff02::1",
                "ffff::1", "5f00::1",
        };
        Guard guard = { 0 };

        for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
                ck_assert_msg(!allows(&guard, addresses[i]), "%s", addresses[i]);
}
END_TEST

START_TEST(other_families_are_refused)
{
        struct sockaddr_un local = { .sun_family = AF_UNIX, .sun_path = "/run/user/0/bus" };
        struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x01010101) };
        struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
        Guard guard = { 0 };

        v6.sin6_addr.s6_addr[0] = 0x26;
        ck_assert(!guard_allows(&guard, (void *)&local, sizeof(local)));
        ck_assert(guard_allows(&guard, (void *)&v4, sizeof(v4)));
        ck_assert(!guard_allows(&guard, (void *)&v4, sizeof(v4) - 1));
        ck_assert(guard_allows(&guard, (void *)&v6, sizeof(v6)));
        ck_assert(!guard_allows(&guard, (void *)&v6, sizeof(v6) - 1));
}
END_TEST

START_TEST(listed_networks_pass_and_nothing_beside_them)
{
        Guard guard = listing("10.1.2.0/23");

        ck_assert(allows(&guard, "10.1.2.0"));
        ck_assert(allows(&guard, "10.1.3.255"));
        ck_assert(!allows(&guard, "10.1.1.255"));
        ck_assert(!allows(&guard, "10.1.4.0"));
        ck_assert(!allows(&guard, "127.0.0.1"));
        ck_assert(!allows(&guard, "::a01:200"));
        guard_deinit(&guard);
        guard = listing("fd12:3456::/31");
        ck_assert(allows(&guard, "fd12:3457::1"));
        ck_assert(!allows(&guard, "fd12:3458::1"));
        ck_assert(!allows(&guard, "fd12:3455::1"));
        guard_deinit(&guard);
}
END_TEST

START_TEST(mapped_is_the_same_as_plain)
{
        Guard guard = listing("127.0.0.0/8");

        ck_assert(allows(&guard, "127.0.0.1"));
        ck_assert(allows(&guard, "::ffff:127.0.0.1"));
        ck_assert(!allows(&guard, "::ffff:10.0.0.1"));
        ck_assert(!allows(&guard, "64:ff9b::127.0.0.1"));
        ck_assert(!allows(&guard, "2002:7f00:1::1"));
        ck_assert(!allows(&guard, "::1"));
        guard_deinit(&guard);
}
END_TEST

START_TEST(everything_can_be_listed)
{
        Guard guard = listing("0.0.0.0/0");

        ck_assert(allows(&guard, "127.0.0.1"));
        ck_assert(!allows(&guard, "::1"));
        guard_deinit(&guard);
        guard = listing("::/0");
        ck_assert(allows(&guard, "::1"));
        ck_assert(!allows(&guard, "127.0.0.1"));
        guard_deinit(&guard);
}
END_TEST

START_TEST(networks_are_parsed)
{
        Network network;

        ck_assert_int_eq(guard_parse_network("127.0.0.1", &network), 0);
        ck_assert_uint_eq(network.bits, 32);
        ck_assert_int_eq(guard_parse_network("::1", &network), 0);
        ck_assert_uint_eq(network.bits, 128);
        ck_assert_int_eq(guard_parse_network("10.0.0.0/8", &network), 0);
        ck_assert_uint_eq(network.bits, 8);
        ck_assert_int_eq(network.family, AF_INET);
        ck_assert_int_eq(guard_parse_network("fd00::/8", &network), 0);
        ck_assert_int_eq(network.family, AF_INET6);
}
END_TEST

START_TEST(what_is_no_network_is_refused)
{
        static const char *const texts[] = {
                "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/ 8", "10.0.0.0/+8", "10.0.0.0/8/8",
                "10.0.0.0/8 ", " 10.0.0.0/8", "10.0.0.1/8", "10.0.0/8", "010.0.0.0/8", "0x0a.0.0.0/8", "10/8",
                "256.0.0.0/8", "localhost", "::/129", "::1/127", "fe80::1%lo", "[::1]", "1:2", "::ffff:1.2.3.4/95",
                "10.0.0.0/99999999999999999999", "127.0.0.1:80", "1111:2222:3333:4444:5555:6666:7777:8888:9999/64",
        };
        Network network;
        Guard guard;

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                ck_assert_msg(guard_parse_network(texts[i], &network) == GUARD_E_INVALID, "%s", texts[i]);
                ck_assert_int_eq(guard_init(&guard, &texts[i], 1), GUARD_E_INVALID);
                ck_assert_ptr_null(guard.listed);
        }
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("guard");

        tcase_add_test(tcase, public_addresses_pass);
        tcase_add_test(tcase, others_are_refused);
        tcase_add_test(tcase, other_families_are_refused);
        tcase_add_test(tcase, listed_networks_pass_and_nothing_beside_them);
        tcase_add_test(tcase, mapped_is_the_same_as_plain);
        tcase_add_test(tcase, everything_can_be_listed);
        tcase_add_test(tcase, networks_are_parsed);
        tcase_add_test(tcase, what_is_no_network_is_refused);
        return suite_run("egress/guard", tcase);
}
