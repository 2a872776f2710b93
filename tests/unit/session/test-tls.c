#undef NDEBUG
/* The server's side of TLS, whichever library it is of: what it makes of a leaf, and of a first message by hand. */
#include "../base/suite.h"
#include "base/clock.h"
#include "session/tls.h"
#include "vault/certificate.h"
#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HOST      "api.example.test"
#define ALERT     21U
#define HANDSHAKE 22U

static Arena *arena;
static Certificate leaf;
static TlsServer *server;
static int pair[2] = { -1, -1 };
static unsigned asked;

/* ---- a ClientHello ---- */

typedef struct Hello {
        uint8_t data[512];
        size_t size;
} Hello;

static void put(Hello *hello, const void *data, size_t size)
{
        ck_assert_uint_le(hello->size + size, sizeof(hello->data));
        memcpy(hello->data + hello->size, data, size);
        hello->size += size;
}

static void put_extension(Hello *hello, uint8_t type, const void *data, size_t size)
{
        const uint8_t head[] = { 0, type, (uint8_t)(size >> 8), (uint8_t)size };

        put(hello, head, sizeof(head));
        put(hello, data, size);
}

static void put_name(Hello *hello, const char *name)
{
        size_t size = strlen(name);
        uint8_t data[256] = { 0, (uint8_t)(size + 3), 0, 0, (uint8_t)size };

        memcpy(data + 5, name, size);
        put_extension(hello, 0, data, size + 5);
}

static void set_length(Hello *hello, size_t at)
{
        size_t size = hello->size - at - 2;

        hello->data[at] = (uint8_t)(size >> 8);
        hello->data[at + 1] = (uint8_t)size;
}

/* Of TLS 1.2, with what any server of today wants. NULL: without a name. */
static Hello hello_make(const char *name)
{
        static const uint8_t head[] = { 22, 3, 1, 0, 0, 1, 0, 0, 0, 3, 3 }, random[32] = { 7 }, session[] = { 0 };
        static const uint8_t suites[] = { 0, 4, 0xc0, 0x2b, 0xcc, 0xa9 }, compression[] = { 1, 0 }, none[] = { 0, 0 };
        static const uint8_t groups[] = { 0, 4, 0, 29, 0, 23 }, formats[] = { 1, 0 }, signatures[] = { 0, 2, 4, 3 };
        Hello hello = { 0 };
        size_t extensions;

        put(&hello, head, sizeof(head));
        put(&hello, random, sizeof(random));
        put(&hello, session, sizeof(session));
        put(&hello, suites, sizeof(suites));
        put(&hello, compression, sizeof(compression));
        extensions = hello.size;
        put(&hello, none, sizeof(none));
        if (name)
                put_name(&hello, name);
        put_extension(&hello, 10, groups, sizeof(groups));
        put_extension(&hello, 11, formats, sizeof(formats));
        put_extension(&hello, 13, signatures, sizeof(signatures));
        set_length(&hello, extensions);
        set_length(&hello, 3);
        set_length(&hello, 7);
        return hello;
}

/* ---- both ends ---- */

static bool is_host(UNUSED void *userdata, Slice name)
{
        asked++;
        return slice_is_text(name, HOST);
}

static void make_pair(void)
{
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
}

static void close_pair(void)
{
        for (int i = 0; i < 2; i++)
                (void)close(pair[i]);
}

static void setup(void)
{
        const char *hosts[] = { HOST };
        uint64_t now = (uint64_t)time(NULL) * USEC_PER_SEC;
        CertificateAsk ask = { "s-0123456789abcdef", { hosts, 1 }, now, now + 1800 * USEC_PER_SEC };

        ck_assert_int_eq(arena_new(&arena, 64U * 1024U), 0);
        ck_assert_int_eq(tls_setup(), 0);
        ck_assert_int_eq(certificate_make(&ask, arena, &leaf), 0);
        ck_assert_int_eq(tls_server_new(&server, buf_slice(&leaf.leaf), secret_slice(leaf.key)), 0);
        make_pair();
        asked = 0;
}

static void teardown(void)
{
        close_pair();
        server = tls_server_unref(server);
        certificate_deinit(&leaf);
        arena = arena_free(arena);
}

/* What comes of these bytes, the first `given` of them read before, the rest on the socket. */
static int shake(Slice bytes, size_t given, bool ends)
{
        Tls *tls;
        int r;

        if (bytes.size > given)
                ck_assert_int_eq(write(pair[1], bytes.data + given, bytes.size - given), (ssize_t)(bytes.size - given));
        if (ends)
                ck_assert_int_eq(shutdown(pair[1], SHUT_WR), 0);
        ck_assert_int_eq(tls_new(&tls, server, pair[0], slice(bytes.data, given), is_host, NULL), 0);
        r = tls_handshake(tls);
        if (ends && r == TLS_E_AGAIN) {
                tls_announced(tls); /* only now it is asked for more, and finds the end */
                r = tls_handshake(tls);
        }
        tls_free(tls);
        return r;
}

/* The kind of the first record that the peer has got; 0: nothing. */
static unsigned answer(void)
{
        uint8_t data[8192];
        ssize_t n = read(pair[1], data, sizeof(data));

        return n > 0 ? data[0] : 0;
}

/* ---- tests ---- */

START_TEST(the_name_is_asked_about_and_the_handshake_goes_on)
{
        Hello hello = hello_make(HOST);

        ck_assert_int_eq(shake(slice(hello.data, hello.size), hello.size, false), TLS_E_AGAIN);
        ck_assert_uint_eq(asked, 1);
        ck_assert_uint_eq(answer(), HANDSHAKE);
}
END_TEST

START_TEST(bytes_come_from_before_and_from_the_socket)
{
        Hello hello = hello_make(HOST);

        for (size_t given = 0; given < hello.size; given++) {
                ck_assert_int_eq(shake(slice(hello.data, hello.size), given, false), TLS_E_AGAIN);
                ck_assert_uint_eq(answer(), HANDSHAKE);
        }
}
END_TEST

START_TEST(another_name_and_none_end_it_with_an_alert)
{
        Hello other = hello_make("elsewhere.test"), none = hello_make(NULL);

        ck_assert_int_eq(shake(slice(other.data, other.size), other.size, false), TLS_E_NAME);
        ck_assert_uint_eq(asked, 1);
        ck_assert_uint_eq(answer(), ALERT);
        ck_assert_int_eq(shake(slice(none.data, none.size), none.size, false), TLS_E_NAME);
        ck_assert_uint_eq(asked, 1);
        ck_assert_uint_eq(answer(), ALERT);
}
END_TEST

START_TEST(a_hello_that_ends_anywhere_is_none)
{
        Hello hello = hello_make(HOST);

        for (size_t size = 0; size < hello.size; size++) {
                ck_assert_int_eq(tls_hello(slice(hello.data, size)), TLS_HELLO_MORE);
                ck_assert_int_eq(shake(slice(hello.data, size), 0, true), TLS_E_NAME);
                ck_assert_uint_eq(asked, 0);
                close_pair();
                make_pair();
        }
        ck_assert_int_eq(tls_hello(slice(hello.data, hello.size)), TLS_HELLO_YES);
}
END_TEST

START_TEST(each_bit_that_is_another_is_borne)
{
        Hello hello = hello_make(HOST);

        for (size_t bit = 0; bit < hello.size * 8; bit++) {
                int r;

                hello.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
                r = shake(slice(hello.data, hello.size), hello.size, false);
                ck_assert_msg(r == TLS_E_AGAIN || r == TLS_E_NAME || r == TLS_E_BROKEN, "bit %zu: %d", bit, r);
                hello.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
                close_pair();
                make_pair();
        }
        ck_assert_int_eq(shake(slice(hello.data, hello.size), hello.size, false), TLS_E_AGAIN);
}
END_TEST

START_TEST(the_first_record_alone_is_looked_at)
{
        Hello hello = hello_make(NULL);
        const struct {
                size_t at;
                uint8_t value;
        } wrong[] = { { 0, 23 }, { 1, 2 }, { 2, 5 }, { 3, 0x40 }, { 5, 2 } };

        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
                Hello other = hello;

                other.data[wrong[i].at] = wrong[i].value;
                other.data[4] |= wrong[i].at == 3;
                ck_assert_int_eq(tls_hello(slice(other.data, other.size)), TLS_HELLO_NO);
        }
        hello.data[3] = hello.data[4] = 0;
        ck_assert_int_eq(tls_hello(slice(hello.data, hello.size)), TLS_HELLO_NO);
}
END_TEST

START_TEST(a_leaf_or_key_that_is_none_is_refused)
{
        Slice certificate = buf_slice(&leaf.leaf), key = secret_slice(leaf.key);
        TlsServer *made = NULL;

        ck_assert_int_eq(tls_server_new(&made, slice(certificate.data, certificate.size - 1), key), TLS_E_LEAF);
        ck_assert_int_eq(tls_server_new(&made, certificate, slice(key.data, key.size / 2)), TLS_E_LEAF);
        ck_assert_int_eq(tls_server_new(&made, key, key), TLS_E_LEAF);
        ck_assert_int_eq(tls_server_new(&made, SLICE_NULL, SLICE_NULL), TLS_E_LEAF);
        ck_assert_ptr_null(made);
        ck_assert(tls_server_has(server, certificate));
        ck_assert(!tls_server_has(server, slice(certificate.data, certificate.size - 1)));
}
END_TEST

START_TEST(more_than_a_first_record_is_not_taken)
{
        static uint8_t much[2 * TLS_RECORD_MAX];
        Tls *tls;

        ck_assert_int_eq(tls_new(&tls, server, pair[0], slice(much, sizeof(much)), is_host, NULL), -EMSGSIZE);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("tls");

        tcase_set_timeout(tcase, 60);
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, the_name_is_asked_about_and_the_handshake_goes_on);
        tcase_add_test(tcase, bytes_come_from_before_and_from_the_socket);
        tcase_add_test(tcase, another_name_and_none_end_it_with_an_alert);
        tcase_add_test(tcase, a_hello_that_ends_anywhere_is_none);
        tcase_add_test(tcase, each_bit_that_is_another_is_borne);
        tcase_add_test(tcase, the_first_record_alone_is_looked_at);
        tcase_add_test(tcase, a_leaf_or_key_that_is_none_is_refused);
        tcase_add_test(tcase, more_than_a_first_record_is_not_taken);
        return suite_run("tls", tcase);
}
