#undef NDEBUG
/* Channels against a peer that writes frames by hand, and against each other. */
#include "ipc/channel.h"
#include "base/fd.h"
#include "ipc/packet.h"
#include <check.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LONG_TEXT (64U * 1024U)
#define CALL_USEC (10 * USEC_PER_SEC)

typedef struct Word {
        const char *text;
        Secret *secret;
} Word;

#define F(member, kind, limit) { #member, FIELD_##kind, FIELD_OPTIONAL, limit, 0, offsetof(Word, member), NULL, NULL }
static const Field schema_word_fields[] = { F(text, TEXT, LONG_TEXT), F(secret, SECRET, 1024) };
static SCHEMA(schema_word, "Word", Word);

/* Text that no frame has room for. */
typedef struct Crowd {
        TextList texts;
} Crowd;
static const Field schema_crowd_fields[] = {
        { "texts", FIELD_TEXTS, FIELD_OPTIONAL, 1024, LONG_TEXT, offsetof(Crowd, texts), NULL, NULL },
};
static SCHEMA(schema_crowd, "Crowd", Crowd);

enum { ECHO, STREAM, NOTICE, CROWD, _METHODS };
static const Method interface_test_methods[] = {
        [ECHO] = { "Echo", &schema_word, &schema_word, 1, 1, false },
        [STREAM] = { "Stream", &schema_word, &schema_word, 0, 0, true },
        [NOTICE] = { "Notice", &schema_word, NULL, 0, 0, false },
        [CROWD] = { "Crowd", &schema_word, &schema_crowd, 0, 0, false },
};
static INTERFACE(interface_test, "test");

/* A clock that stands still until it is moved. */
typedef struct TestClock {
        Clock clock; /* first */
        uint64_t now;
} TestClock;

static uint64_t test_now(const Clock *clock)
{
        return ((const TestClock *)(const void *)clock)->now;
}

/* One end of the edge and what it saw. */
typedef struct End {
        Channel *channel;
        Request *kept;   /* the last request, where `keep` is set */
        bool keep;
        bool free_in_handler, free_in_closed, free_in_done, cancel_others, answer_in_done;
        unsigned requests, closed, done;
        char reason[64];
        Fault fault; /* of the last reply */
        char text[64];
        bool more;
        int fd;
        Call *calls[4];
} End;

static TestClock now;
static Loop *loop;
static Arena *arena;
static int pair[2];
static End left, right; /* `right` may be a bare descriptor: pair[1] */

static int on_request(void *userdata, Channel *channel, Request *request)
{
        End *end = userdata;
        Word *word = request->body;

        ck_assert_ptr_eq(channel_userdata(channel), userdata);
        end->requests++;
        if (end->free_in_handler)
                end->channel = channel_free(channel);
        if (end->keep) {
                end->kept = request;
                return 0;
        }
        if (request->id == NOTICE) {
                request_done(request);
                return 0;
        }
        if (request->id == CROWD) {
                Crowd crowd;
                const char *items[3];
                char *text = malloc(LONG_TEXT);

                ck_assert_ptr_nonnull(text);
                memset(text, 'x', LONG_TEXT - 1);
                text[LONG_TEXT - 1] = '\0';
                items[0] = items[1] = items[2] = text;
                crowd = (Crowd){ { items, 3 } };
                ck_assert_int_eq(request_reply(request, &crowd, NULL, 0), 0);
                free(text);
                return 0;
        }
        if (request->id == STREAM) {
                ck_assert_int_eq(request_reply_more(request, word), 0);
                ck_assert_int_eq(request_reply_more(request, word), 0);
        }
        return request_reply(request, word, request->fds, request->id == ECHO ? request->n_fds : 0);
}

static int on_closed(void *userdata, Channel *channel, const char *reason)
{
        End *end = userdata;

        end->closed++;
        strncpy(end->reason, reason, sizeof(end->reason) - 1);
        if (end->free_in_closed)
                end->channel = channel_free(channel);
        return 0;
}

static int on_done(void *userdata, const Reply *reply)
{
        End *end = userdata;

        end->done++;
        end->fault = reply->fault;
        end->more = reply->more;
        if (reply->body && ((Word *)reply->body)->text)
                strncpy(end->text, ((Word *)reply->body)->text, sizeof(end->text) - 1);
        if (reply->n_fds > 0) {
                fd_close(end->fd);
                end->fd = take_fd(&reply->fds[0]);
        }
        for (size_t i = 0; end->cancel_others && i < ARRAY_SIZE(end->calls); i++)
                if (end->calls[i]) {
                        call_cancel(end->calls[i]);
                        end->calls[i] = NULL;
                }
        if (end->free_in_done)
                end->channel = channel_free(end->channel);
        return 0;
}

static void end_open(End *end, int fd)
{
        ChannelConfig config = {
                .loop = loop, .arena = arena, .fd = fd, .in = &interface_test, .out = &interface_test,
                .handler = on_request, .closed = on_closed, .userdata = end,
        };

        end->fd = -1;
        ck_assert_int_eq(channel_new(&end->channel, &config), 0);
}

static void setup(void)
{
        now = (TestClock){ .clock = { test_now, test_now }, .now = 1000 * USEC_PER_SEC };
        left = right = (End){ .fd = -1 };
        ck_assert_int_eq(loop_new(&loop, &now.clock), 0);
        ck_assert_int_eq(arena_new(&arena, 64U * 1024U), 0);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
        end_open(&left, take_fd(&pair[0]));
}

static void setup_both(void)
{
        setup();
        end_open(&right, take_fd(&pair[1]));
}

static void teardown(void)
{
        left.channel = channel_free(left.channel);
        right.channel = channel_free(right.channel);
        fd_close(left.fd);
        fd_close(right.fd);
        pair[1] = fd_close(pair[1]);
        loop = loop_free(loop);
        arena = arena_free(arena);
}

static void run(void)
{
        for (int i = 0; i < 50; i++)
                ck_assert_int_eq(loop_dispatch(loop, 0), 0);
}

/* A frame as the peer writes it: header and body. */
static size_t frame(uint8_t *out, unsigned method, unsigned kind, uint32_t serial, const char *text)
{
        Word word = { .text = text };
        Buf buf = BUF_NULL(CHANNEL_FRAME_MAX);
        size_t size;

        ck_assert_int_eq(buf_append_u16(&buf, (uint16_t)method), 0);
        ck_assert_int_eq(buf_append_u8(&buf, (uint8_t)kind), 0);
        ck_assert_int_eq(buf_append_u8(&buf, 0), 0);
        ck_assert_int_eq(buf_append_u32(&buf, serial), 0);
        ck_assert_int_eq(schema_encode(&schema_word, &word, &buf), 0);
        size = buf.size;
        memcpy(out, buf.data, size);
        buf_deinit(&buf);
        return size;
}

static void peer_send(const void *data, size_t size)
{
        ck_assert_int_eq(send(pair[1], data, size, MSG_NOSIGNAL), (ssize_t)size);
}

static void peer_frame(unsigned method, unsigned kind, uint32_t serial, const char *text)
{
        uint8_t bytes[256];

        peer_send(bytes, frame(bytes, method, kind, serial, text));
}

static int call(End *end, unsigned method, const char *text, Call **ret)
{
        Word word = { .text = text };

        return channel_call(end->channel, method, &word, NULL, 0, CALL_USEC, on_done, end, ret);
}

/* ---- what goes well ---- */

START_TEST(call_is_answered)
{
        ck_assert_int_eq(call(&left, ECHO, "hello", NULL), 0);
        ck_assert_uint_eq(left.done, 0);
        run();
        ck_assert_uint_eq(left.done, 1);
        ck_assert_int_eq(left.fault, FAULT_NONE);
        ck_assert_str_eq(left.text, "hello");
        ck_assert(!left.more);
}
END_TEST

START_TEST(stream_ends_with_a_last_reply)
{
        ck_assert_int_eq(call(&left, STREAM, "x", NULL), 0);
        run();
        ck_assert_uint_eq(left.done, 3);
        ck_assert(!left.more);
}
END_TEST

START_TEST(descriptor_travels_both_ways)
{
        Word word = { 0 };
        int pipes[2];

        ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
        ck_assert_int_eq(channel_call(left.channel, ECHO, &word, pipes, 1, CALL_USEC, on_done, &left, NULL), 0);
        run();
        ck_assert_int_ge(left.fd, 0);
        ck_assert(fcntl(left.fd, F_GETFD) & FD_CLOEXEC);
        fd_close_all(pipes, 2);
}
END_TEST

START_TEST(secret_travels)
{
        _cleanup_(secret_freep) Secret *secret = NULL;
        Word word = { .text = "s" };

        ck_assert_int_eq(secret_from_bytes(&secret, arena, slice_text("key")), 0);
        word.secret = secret;
        ck_assert_int_eq(channel_call(left.channel, ECHO, &word, NULL, 0, CALL_USEC, on_done, &left, NULL), 0);
        run();
        ck_assert_int_eq(left.fault, FAULT_NONE);
}
END_TEST

START_TEST(fault_carries_its_words)
{
        right.keep = true;
        ck_assert_int_eq(call(&left, ECHO, "x", NULL), 0);
        run();
        ck_assert_int_eq(request_fail(right.kept, FAULT_POLICY_DENIED, NULL), 0);
        run();
        ck_assert_int_eq(left.fault, FAULT_POLICY_DENIED);
}
END_TEST

/* ---- what is refused ---- */

static void refused(const char *reason)
{
        run();
        ck_assert_uint_eq(left.closed, 1);
        ck_assert_str_eq(left.reason, reason);
        ck_assert_uint_eq(left.requests, 0);
}

START_TEST(unknown_method_closes)
{
        peer_frame(_METHODS, 0, 1, "x");
        refused("asked for what this edge does not permit");
}
END_TEST

START_TEST(malformed_frame_closes)
{
        uint8_t bytes[256];
        size_t size = frame(bytes, ECHO, 0, 1, "x");

        switch (_i) {
        case 0:
                bytes[3] = 1; /* the byte that is zero */
                peer_send(bytes, size);
                break;
        case 1:
                bytes[2] = 4; /* no such kind */
                peer_send(bytes, size);
                break;
        case 2:
                peer_send(bytes, 7); /* less than a header */
                break;
        }
        refused("sent a malformed frame");
}
END_TEST

START_TEST(malformed_body_closes)
{
        uint8_t bytes[256];
        size_t size = frame(bytes, ECHO, 0, 1, "text");

        peer_send(bytes, _i == 0 ? size - 1 : size + 1);
        refused("sent a malformed request");
}
END_TEST

START_TEST(too_large_frame_closes)
{
        size_t size = CHANNEL_FRAME_MAX + 1;
        uint8_t *bytes = calloc(1, size);

        ck_assert_ptr_nonnull(bytes);
        peer_send(bytes, size);
        free(bytes);
        refused("sent a malformed frame");
}
END_TEST

/* Sends `n` descriptors and returns how many this process has open afterwards, to see a leak. */
static void peer_send_fds(const uint8_t *bytes, size_t size, size_t n)
{
        int fds[PACKET_FDS_MAX];

        for (size_t i = 0; i < n; i++)
                ck_assert_int_ge(fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
        ck_assert_int_eq(packet_send(pair[1], slice(bytes, size), fds, n, NULL), 0);
        fd_close_all(fds, n);
}

static int lowest_fd(void)
{
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        fd_close(fd);
        return fd;
}

START_TEST(too_many_descriptors_close_and_do_not_leak)
{
        uint8_t bytes[256];
        size_t size = frame(bytes, _i == 0 ? ECHO : _i == 1 ? STREAM : NOTICE, 0, 1, "x");
        int before = lowest_fd();

        peer_send_fds(bytes, size, _i == 0 ? 2 : 1);
        refused("asked for what this edge does not permit");
        left.channel = channel_free(left.channel);
        ck_assert_int_le(lowest_fd(), before);
}
END_TEST

START_TEST(descriptors_of_an_ignored_reply_do_not_leak)
{
        uint8_t bytes[256];
        size_t size = frame(bytes, ECHO, 1, 77, "x");
        int before = lowest_fd();

        peer_send_fds(bytes, size, 4);
        run();
        ck_assert_uint_eq(left.closed, 0);
        ck_assert_int_eq(lowest_fd(), before);
}
END_TEST

START_TEST(unknown_serial_is_ignored)
{
        peer_frame(ECHO, 1, 4711, "x");
        peer_frame(ECHO, 3, 4711, "x");
        run();
        ck_assert_uint_eq(left.closed, 0);
        ck_assert_uint_eq(left.done, 0);
}
END_TEST

START_TEST(answer_of_another_method_closes)
{
        ck_assert_int_eq(call(&left, ECHO, "x", NULL), 0);
        peer_frame(_i == 0 ? CROWD : ECHO, _i == 0 ? 1 : 2, 1, "x"); /* 2: a stream, of what does not stream */
        run();
        ck_assert_uint_eq(left.closed, 1);
        ck_assert_uint_eq(left.done, 1);
        ck_assert_int_eq(left.fault, FAULT_UNAVAILABLE);
}
END_TEST

START_TEST(malformed_reply_fails_the_call_and_closes)
{
        uint8_t bytes[256];
        size_t size = frame(bytes, ECHO, 1, 1, "x");

        ck_assert_int_eq(call(&left, ECHO, "x", NULL), 0);
        peer_send(bytes, size - 1);
        run();
        ck_assert_uint_eq(left.closed, 1);
        ck_assert_uint_eq(left.done, 1);
        ck_assert_int_eq(left.fault, FAULT_UNAVAILABLE);
}
END_TEST

/* Every bit of a request and of a reply, each on an edge of its own. Nothing but a close may come of it. */
START_TEST(flipped_bits_do_no_harm)
{
        uint8_t bytes[256], flipped[256];
        size_t size = frame(bytes, ECHO, _i == 0 ? 0 : 1, 1, "some text");

        for (size_t bit = 0; bit < size * 8; bit++) {
                teardown();
                setup();
                if (_i == 1)
                        ck_assert_int_eq(call(&left, ECHO, "x", NULL), 0);
                memcpy(flipped, bytes, size);
                flipped[bit / 8] ^= (uint8_t)(1U << (bit % 8));
                peer_send(flipped, size);
                ck_assert_int_eq(loop_dispatch(loop, 0), 0);
                ck_assert_int_eq(loop_dispatch(loop, 0), 0);
                ck_assert_uint_le(left.closed, 1);
                if (left.closed && _i == 1)
                        ck_assert_uint_eq(left.done, 1);
        }
        for (size_t cut = 0; cut < size; cut++) {
                teardown();
                setup();
                peer_send(bytes, cut);
                ck_assert_int_eq(loop_dispatch(loop, 0), 0);
                ck_assert_uint_eq(left.requests, 0);
                ck_assert(left.closed == 1 || _i == 1);
        }
}
END_TEST

/* ---- time and room ---- */

START_TEST(silent_peer_times_out)
{
        ck_assert_int_eq(call(&left, ECHO, "x", NULL), 0);
        now.now += CALL_USEC - 1;
        run();
        ck_assert_uint_eq(left.done, 0);
        now.now += 1;
        run();
        ck_assert_uint_eq(left.done, 1);
        ck_assert_int_eq(left.fault, FAULT_TIMEOUT);
        peer_frame(ECHO, 1, 1, "late");
        run();
        ck_assert_uint_eq(left.done, 1);
        ck_assert_uint_eq(left.closed, 0);
}
END_TEST

START_TEST(peer_that_does_not_read_is_closed_from_the_loop)
{
        Word word = { 0 };
        char *text = malloc(LONG_TEXT);
        int r = 0, sent = 0;

        ck_assert_ptr_nonnull(text);
        memset(text, 'x', LONG_TEXT - 1);
        text[LONG_TEXT - 1] = '\0';
        word.text = text;
        for (; r == 0 && sent < 200; sent++) {
                r = channel_notify(left.channel, NOTICE, &word);
                ck_assert_uint_eq(left.closed, 0); /* never from within */
        }
        ck_assert_int_eq(r, 0);
        run();
        ck_assert_uint_eq(left.closed, 1);
        ck_assert_str_eq(left.reason, "does not read");
        free(text);
}
END_TEST

START_TEST(small_frames_are_charged_for_what_they_cost)
{
        Word word = { 0 };
        unsigned sent = 0;

        while (left.closed == 0 && sent < 1000000) {
                ck_assert_int_eq(channel_notify(left.channel, NOTICE, &word), 0);
                if (++sent % 1000 == 0)
                        ck_assert_int_eq(loop_dispatch(loop, 0), 0);
        }
        ck_assert_str_eq(left.reason, "does not read");
        ck_assert_uint_lt(sent, 60000); /* four MiB in all */
}
END_TEST

/* Frames that had to wait come in the order in which they were sent. */
START_TEST(waiting_frames_are_sent_in_order)
{
        uint8_t bytes[256];
        unsigned seen = 0;
        char text[16];

        for (unsigned i = 0; i < 2000; i++) {
                Word word = { .text = text };

                (void)snprintf(text, sizeof(text), "%04u", i);
                ck_assert_int_eq(channel_notify(left.channel, NOTICE, &word), 0);
        }
        for (unsigned rounds = 0; rounds < 4000 && seen < 2000; rounds++) {
                ssize_t n;

                while ((n = recv(pair[1], bytes, sizeof(bytes), 0)) > 0) {
                        (void)snprintf(text, sizeof(text), "%04u", seen++);
                        ck_assert_ptr_nonnull(memmem(bytes, (size_t)n, text, 4));
                }
                ck_assert_int_eq(loop_dispatch(loop, 0), 0);
        }
        ck_assert_uint_eq(seen, 2000);
        ck_assert_uint_eq(left.closed, 0);
}
END_TEST

START_TEST(frame_too_large_is_a_fault_of_its_call)
{
        ck_assert_int_eq(call(&left, CROWD, "x", NULL), 0);
        run();
        ck_assert_uint_eq(left.done, 1);
        ck_assert_int_eq(left.fault, FAULT_INTERNAL);
        ck_assert_uint_eq(left.closed + right.closed, 0);
        ck_assert_int_eq(call(&left, ECHO, "still here", NULL), 0);
        run();
        ck_assert_str_eq(left.text, "still here");
}
END_TEST

START_TEST(full_arena_is_busy_and_no_more)
{
        _cleanup_(secret_freep) Secret *hog = NULL, *secret = NULL;
        Secret *rest[2048] = { 0 };
        Word word = { 0 };
        size_t size = 48U * 1024U, n = 0;

        ck_assert_int_eq(secret_from_bytes(&secret, arena, slice_text("key")), 0);
        while (size > 0 && secret_new(&hog, arena, size) != 0)
                size -= 16;
        while (n < ARRAY_SIZE(rest) && secret_new(&rest[n], arena, 1) == 0)
                n++;
        word.secret = secret;
        ck_assert_int_eq(channel_call(left.channel, ECHO, &word, NULL, 0, CALL_USEC, on_done, &left, NULL), 0);
        run();
        ck_assert_int_eq(left.fault, FAULT_BUSY);
        ck_assert_uint_eq(left.closed + right.closed, 0);
        while (n > 0)
                secret_free(rest[--n]);
}
END_TEST

START_TEST(requests_of_a_peer_are_bounded)
{
        Request *kept[CHANNEL_REQUESTS_MAX];
        unsigned n = 0, busy = 0;
        uint8_t bytes[CHANNEL_FRAME_MAX];

        left.keep = true;
        for (uint32_t i = 1; i <= CHANNEL_REQUESTS_MAX + 10; i++) {
                ssize_t got;

                peer_frame(ECHO, 0, i, "x");
                left.kept = NULL;
                ck_assert_int_eq(loop_dispatch(loop, 0), 0);
                if (left.kept)
                        kept[n++] = left.kept;
                while ((got = recv(pair[1], bytes, sizeof(bytes), 0)) > 0)
                        busy++;
        }
        ck_assert_uint_eq(n, CHANNEL_REQUESTS_MAX);
        ck_assert_uint_eq(busy, 10);
        ck_assert_uint_eq(left.closed, 0);
        for (unsigned i = 0; i < n; i++)
                request_done(kept[i]);
        left.kept = NULL;
        peer_frame(ECHO, 0, 1, "x");
        run();
        ck_assert_ptr_nonnull(left.kept);
        request_done(left.kept);
}
END_TEST

START_TEST(calls_of_ours_are_bounded)
{
        for (unsigned i = 0; i < CHANNEL_CALLS_MAX; i++) {
                uint8_t bytes[256];

                ck_assert_int_eq(call(&left, ECHO, NULL, NULL), 0);
                (void)recv(pair[1], bytes, sizeof(bytes), 0);
        }
        ck_assert_uint_eq(left.done, 0);
        ck_assert_int_eq(call(&left, ECHO, NULL, NULL), 0);
        ck_assert_uint_eq(left.done, 1);
        ck_assert_int_eq(left.fault, FAULT_BUSY);
        left.channel = channel_free(left.channel);
        ck_assert_uint_eq(left.done, 1 + CHANNEL_CALLS_MAX);
}
END_TEST

START_TEST(descriptors_that_run_out_close_the_peer_alone)
{
        struct rlimit old, low;
        Word word = { 0 };
        char *text = calloc(1, LONG_TEXT);
        int pipes[2];

        ck_assert_ptr_nonnull(text);
        memset(text, 'x', LONG_TEXT - 1);
        word.text = text;
        ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
        for (int i = 0; i < 10; i++) /* the socket is full: frames wait from here on */
                ck_assert_int_eq(channel_notify(left.channel, NOTICE, &word), 0);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
        low = (struct rlimit){ (rlim_t)lowest_fd(), old.rlim_max };
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
        ck_assert_int_eq(channel_call(left.channel, ECHO, &word, pipes, 1, CALL_USEC, on_done, &left, NULL), 0);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
        run();
        ck_assert_uint_eq(left.done, 1);
        ck_assert_uint_eq(left.closed, 1);
        fd_close_all(pipes, 2);
        free(text);
}
END_TEST

/* Puts more descriptors in flight than this process may have from now on. */
static void fill_flight(int flight[2])
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
        struct rlimit low;
        int fds[PACKET_FDS_MAX];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, flight), 0);
        for (size_t i = 0; i < PACKET_FDS_MAX; i++)
                fds[i] = flight[0];
        for (size_t i = 0; i < 200; i += PACKET_FDS_MAX)
                ck_assert_int_eq(packet_send(flight[0], slice("", 1), fds, PACKET_FDS_MAX, NULL), 0);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &low), 0);
        low.rlim_cur = 100;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
        ck_assert_int_eq((int)syscall(SYS_capset, &header, none), 0); /* who has some is not limited */
}

START_TEST(too_many_descriptors_in_flight_are_a_fault_of_their_call)
{
        Word word = { 0 };
        int flight[2], pipes[2];

        right.keep = true;
        ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
        ck_assert_int_eq(call(&left, ECHO, "x", NULL), 0);
        run();
        fill_flight(flight);
        ck_assert_int_eq(request_reply(right.kept, &word, pipes, 1), 0);
        run();
        ck_assert_uint_eq(left.done, 1);
        ck_assert_int_eq(left.fault, FAULT_BUSY);
        ck_assert_int_eq(channel_call(left.channel, ECHO, &word, pipes, 1, CALL_USEC, on_done, &left, NULL), 0);
        ck_assert_uint_eq(left.done, 2);
        ck_assert_int_eq(left.fault, FAULT_BUSY);
        right.keep = false;
        ck_assert_int_eq(call(&left, ECHO, "x", NULL), 0);
        run();
        ck_assert_uint_eq(left.done, 3);
        ck_assert_int_eq(left.fault, FAULT_NONE);
        ck_assert_uint_eq(left.closed + right.closed, 0);
        fd_close_all(flight, 2);
        fd_close_all(pipes, 2);
}
END_TEST

/* ---- endings ---- */

START_TEST(gone_peer_fails_calls_then_closes)
{
        ck_assert_int_eq(call(&left, ECHO, "x", NULL), 0);
        pair[1] = fd_close(pair[1]);
        run();
        ck_assert_uint_eq(left.done, 1);
        ck_assert_int_eq(left.fault, FAULT_UNAVAILABLE);
        ck_assert_uint_eq(left.closed, 1);
        ck_assert_int_eq(call(&left, ECHO, "x", NULL), 0); /* on a closed channel: from within */
        ck_assert_uint_eq(left.done, 2);
        ck_assert_int_eq(channel_notify(left.channel, NOTICE, &(Word){ 0 }), 0);
}
END_TEST

START_TEST(sending_to_a_gone_peer_calls_nobody_from_within)
{
        ck_assert_int_eq(call(&left, ECHO, "x", NULL), 0);
        pair[1] = fd_close(pair[1]);
        ck_assert_int_eq(call(&left, ECHO, "y", NULL), 0);
        ck_assert_int_eq(channel_notify(left.channel, NOTICE, &(Word){ 0 }), 0);
        ck_assert_uint_eq(left.done + left.closed, 0);
        run();
        ck_assert_uint_eq(left.done, 2);
        ck_assert_uint_eq(left.closed, 1);
}
END_TEST

START_TEST(what_a_gone_peer_sent_is_still_read)
{
        ck_assert_int_eq(call(&left, ECHO, "x", NULL), 0);
        peer_frame(ECHO, 1, 1, "last words");
        pair[1] = fd_close(pair[1]);
        ck_assert_int_eq(call(&left, ECHO, "y", NULL), 0); /* finds out */
        run();
        ck_assert_str_eq(left.text, "last words");
        ck_assert_uint_eq(left.done, 2);
        ck_assert_uint_eq(left.closed, 1);
}
END_TEST

START_TEST(last_words_of_a_dead_peer_are_drained)
{
        for (uint32_t i = 0; i < 40; i++) /* more than one round */
                peer_frame(NOTICE, 0, i + 1, "word");
        pair[1] = fd_close(pair[1]);
        ck_assert_int_eq(channel_drain(left.channel), 0);
        ck_assert_uint_eq(left.requests, 40);
        ck_assert_uint_eq(left.closed, 1);
        ck_assert_int_eq(channel_drain(left.channel), 0);
        ck_assert_uint_eq(left.closed, 1);
}
END_TEST

START_TEST(drain_waits_for_nobody)
{
        peer_frame(NOTICE, 0, 1, "word");
        left.free_in_handler = true;
        ck_assert_int_eq(channel_drain(left.channel), 0);
        ck_assert_uint_eq(left.requests, 1);
        ck_assert_ptr_null(left.channel);
}
END_TEST

START_TEST(peer_that_reads_no_more_is_closed_in_the_end)
{
        ck_assert_int_eq(shutdown(pair[1], SHUT_RD), 0);
        ck_assert_int_eq(call(&left, ECHO, "x", NULL), 0);
        run();
        now.now += 2 * USEC_PER_SEC;
        run();
        ck_assert_uint_eq(left.closed, 1);
        ck_assert_uint_eq(left.done, 1);
}
END_TEST

START_TEST(channel_is_freed_in_its_handler)
{
        right.free_in_handler = true;
        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(call(&left, ECHO, "x", NULL), 0);
        run();
        ck_assert_uint_eq(right.requests, 1);
        ck_assert_ptr_null(right.channel);
        ck_assert_uint_eq(right.closed, 0);
        ck_assert_uint_eq(left.done, 3);
        ck_assert_int_eq(left.fault, FAULT_UNAVAILABLE);
}
END_TEST

START_TEST(channel_is_freed_when_it_closes)
{
        left.free_in_closed = true;
        ck_assert_int_eq(call(&left, ECHO, "x", NULL), 0);
        pair[1] = fd_close(pair[1]);
        run();
        ck_assert_ptr_null(left.channel);
        ck_assert_uint_eq(left.closed, 1);
}
END_TEST

START_TEST(channel_is_freed_in_a_reply)
{
        left.free_in_done = true;
        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(call(&left, STREAM, "x", NULL), 0);
        run();
        ck_assert_ptr_null(left.channel);
        ck_assert_uint_eq(left.closed, 0);
        /* The stream's first reply freed it; that one and the other two were failed from there. */
        ck_assert_uint_eq(left.done, 4);
}
END_TEST

START_TEST(channel_is_freed_by_a_failed_call)
{
        left.free_in_done = true;
        ck_assert_int_eq(call(&left, ECHO, "x", NULL), 0);
        ck_assert_int_eq(call(&left, ECHO, "x", NULL), 0);
        if (_i == 0) {
                pair[1] = fd_close(pair[1]);
                run();
        } else {
                left.channel = channel_free(left.channel);
        }
        ck_assert_uint_eq(left.done, 2);
        ck_assert_uint_eq(left.closed, 0);
}
END_TEST

START_TEST(calls_are_cancelled_in_a_callback)
{
        left.cancel_others = true;
        ck_assert_int_eq(call(&left, ECHO, "x", NULL), 0);
        for (size_t i = 0; i < ARRAY_SIZE(left.calls); i++)
                ck_assert_int_eq(call(&left, ECHO, "y", &left.calls[i]), 0);
        if (_i == 1)
                right.channel = channel_free(right.channel);
        run();
        ck_assert_uint_eq(left.done, 1);
}
END_TEST

START_TEST(request_outlives_its_channel)
{
        right.keep = true;
        ck_assert_int_eq(call(&left, ECHO, "x", NULL), 0);
        run();
        ck_assert(request_is_live(right.kept));
        right.channel = channel_free(right.channel);
        ck_assert(!request_is_live(right.kept));
        ck_assert_str_eq(((Word *)right.kept->body)->text, "x");
        ck_assert_int_eq(request_reply_more(right.kept, &(Word){ 0 }), 0);
        ck_assert_int_eq(request_reply(right.kept, &(Word){ 0 }, NULL, 0), 0);
}
END_TEST

START_TEST(close_keeps_the_object)
{
        ck_assert_int_eq(call(&left, ECHO, "x", NULL), 0);
        ck_assert_int_eq(channel_close(left.channel), 0);
        ck_assert_uint_eq(left.done, 1);
        ck_assert_uint_eq(left.closed, 0);
        ck_assert_int_eq(channel_close(left.channel), 0);
        ck_assert_int_eq(call(&left, ECHO, "x", NULL), 0);
        ck_assert_uint_eq(left.done, 2);
}
END_TEST

/* ---- streams that wait for their caller ---- */

typedef struct Heard {
        unsigned taken, gone;
        Request *request; /* to free when it is gone */
} Heard;

static int on_signal(void *userdata, RequestSignal signal)
{
        Heard *heard = userdata;

        heard->taken += signal == REQUEST_TAKEN;
        heard->gone += signal == REQUEST_GONE;
        return signal == REQUEST_GONE ? request_fail(heard->request, FAULT_UNAVAILABLE, NULL) : 0;
}

static Call *open_stream(Heard *heard)
{
        Call *stream = NULL;

        right.keep = true;
        ck_assert_int_eq(channel_call(left.channel, STREAM, &(Word){ .text = "x" }, NULL, 0, UINT64_MAX, on_done, &left,
                                      &stream), 0);
        run();
        ck_assert_ptr_nonnull(stream);
        *heard = (Heard){ .request = right.kept };
        request_on_signal(right.kept, on_signal, heard);
        return stream;
}

START_TEST(caller_says_that_it_took_what_came)
{
        Heard heard;
        Call *stream = open_stream(&heard);

        for (unsigned i = 1; i <= 3; i++) {
                ck_assert_int_eq(request_reply_more(right.kept, &(Word){ .text = "y" }), 0);
                run();
                ck_assert_uint_eq(left.done, i);
                ck_assert(left.more);
                ck_assert_int_eq(call_taken(stream), 0);
                run();
                ck_assert_uint_eq(heard.taken, i);
        }
        now.now += 1000000 * USEC_PER_SEC; /* and nothing bounds it */
        run();
        ck_assert_uint_eq(left.fault, FAULT_NONE);
        ck_assert_int_eq(request_reply(right.kept, &(Word){ .text = "z" }, NULL, 0), 0);
        run();
        ck_assert(!left.more);
        ck_assert_uint_eq(heard.gone, 0);
}
END_TEST

START_TEST(caller_hangs_up)
{
        Heard heard;
        Call *stream = open_stream(&heard);

        ck_assert_int_eq(call_hang_up(stream), 0);
        if (_i == 1) /* while an answer is on its way to nobody */
                ck_assert_int_eq(request_reply_more(right.kept, &(Word){ .text = "y" }), 0);
        run();
        ck_assert_uint_eq(heard.gone, 1);
        ck_assert_uint_eq(left.done, 0);
        ck_assert_uint_eq(left.closed + right.closed, 0);
        right.keep = false;
        ck_assert_int_eq(call(&left, ECHO, "on it goes", NULL), 0);
        run();
        ck_assert_str_eq(left.text, "on it goes");
}
END_TEST

START_TEST(stream_hears_that_its_channel_is_gone)
{
        Heard heard;

        (void)open_stream(&heard);
        if (_i == 0)
                left.channel = channel_free(left.channel);
        else
                right.channel = channel_free(right.channel);
        run();
        ck_assert_uint_eq(heard.gone, 1);
}
END_TEST

/* Whoever has not asked to hear of it yet finds out by looking. */
START_TEST(hang_up_before_anybody_listens)
{
        Call *stream = NULL;

        right.keep = true;
        ck_assert_int_eq(channel_call(left.channel, STREAM, &(Word){ .text = "x" }, NULL, 0, UINT64_MAX, on_done, &left,
                                      &stream), 0);
        run();
        ck_assert(request_is_live(right.kept));
        ck_assert_int_eq(call_hang_up(stream), 0);
        run();
        ck_assert(!request_is_live(right.kept));
        ck_assert_int_eq(request_fail(right.kept, FAULT_UNAVAILABLE, NULL), 0);
}
END_TEST

/* Behind the last answer it is no news; of a method that has one answer, or with a body, it is an attack. */
START_TEST(signal_that_cannot_be_closes)
{
        static const struct {
                unsigned method, kind;
                bool body, closes;
        } cases[] = { { STREAM, 4, false, false }, { STREAM, 5, false, false }, { STREAM, 5, true, true },
                      { ECHO, 5, false, true },    { _METHODS, 4, false, true }, { STREAM, 6, false, true } };
        uint8_t bytes[256];
        size_t size = frame(bytes, cases[_i].method, cases[_i].kind, 77, "x");

        peer_send(bytes, cases[_i].body ? size : 8);
        run();
        ck_assert_uint_eq(left.closed, cases[_i].closes);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("ipc/channel");
        TCase *both = tcase_create("two channels"), *peer = tcase_create("a peer's bytes"), *limit = tcase_create("no descriptors");
        TCase *flight = tcase_create("descriptors in flight");

        tcase_add_checked_fixture(both, setup_both, teardown);
        tcase_set_timeout(both, 60);
        tcase_add_test(both, call_is_answered);
        tcase_add_test(both, stream_ends_with_a_last_reply);
        tcase_add_test(both, descriptor_travels_both_ways);
        tcase_add_test(both, secret_travels);
        tcase_add_test(both, fault_carries_its_words);
        tcase_add_test(both, frame_too_large_is_a_fault_of_its_call);
        tcase_add_test(both, full_arena_is_busy_and_no_more);
        tcase_add_test(both, channel_is_freed_in_its_handler);
        tcase_add_test(both, channel_is_freed_in_a_reply);
        tcase_add_loop_test(both, calls_are_cancelled_in_a_callback, 0, 2);
        tcase_add_test(both, request_outlives_its_channel);
        tcase_add_test(both, close_keeps_the_object);
        tcase_add_test(both, caller_says_that_it_took_what_came);
        tcase_add_loop_test(both, caller_hangs_up, 0, 2);
        tcase_add_test(both, hang_up_before_anybody_listens);
        tcase_add_loop_test(both, stream_hears_that_its_channel_is_gone, 0, 2);
        suite_add_tcase(suite, both);

        tcase_add_checked_fixture(peer, setup, teardown);
        tcase_set_timeout(peer, 60);
        tcase_add_test(peer, unknown_method_closes);
        tcase_add_loop_test(peer, malformed_frame_closes, 0, 3);
        tcase_add_loop_test(peer, malformed_body_closes, 0, 2);
        tcase_add_test(peer, too_large_frame_closes);
        tcase_add_loop_test(peer, too_many_descriptors_close_and_do_not_leak, 0, 3);
        tcase_add_test(peer, descriptors_of_an_ignored_reply_do_not_leak);
        tcase_add_test(peer, unknown_serial_is_ignored);
        tcase_add_loop_test(peer, answer_of_another_method_closes, 0, 2);
        tcase_add_test(peer, malformed_reply_fails_the_call_and_closes);
        tcase_add_loop_test(peer, flipped_bits_do_no_harm, 0, 2);
        tcase_add_loop_test(peer, signal_that_cannot_be_closes, 0, 6);
        tcase_add_test(peer, silent_peer_times_out);
        tcase_add_test(peer, peer_that_does_not_read_is_closed_from_the_loop);
        tcase_add_test(peer, small_frames_are_charged_for_what_they_cost);
        tcase_add_test(peer, waiting_frames_are_sent_in_order);
        tcase_add_test(peer, requests_of_a_peer_are_bounded);
        tcase_add_test(peer, calls_of_ours_are_bounded);
        tcase_add_test(peer, gone_peer_fails_calls_then_closes);
        tcase_add_test(peer, sending_to_a_gone_peer_calls_nobody_from_within);
        tcase_add_test(peer, what_a_gone_peer_sent_is_still_read);
        tcase_add_test(peer, last_words_of_a_dead_peer_are_drained);
        tcase_add_test(peer, drain_waits_for_nobody);
        tcase_add_test(peer, peer_that_reads_no_more_is_closed_in_the_end);
        tcase_add_test(peer, channel_is_freed_when_it_closes);
        tcase_add_loop_test(peer, channel_is_freed_by_a_failed_call, 0, 2);
        suite_add_tcase(suite, peer);

        tcase_add_checked_fixture(limit, setup, teardown);
        tcase_set_tags(limit, "descriptors");
        tcase_add_test(limit, descriptors_that_run_out_close_the_peer_alone);
        suite_add_tcase(suite, limit);

        tcase_add_checked_fixture(flight, setup_both, teardown);
        tcase_set_tags(flight, "descriptors");
        tcase_add_test(flight, too_many_descriptors_in_flight_are_a_fault_of_their_call);
        suite_add_tcase(suite, flight);
        return suite;
}

int main(void)
{
        SRunner *runner = srunner_create(suite());
        int failed;

        srunner_set_tap(runner, "-");
        srunner_run_all(runner, CK_SILENT);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? 1 : 0;
}
