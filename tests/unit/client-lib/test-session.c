/* The client against a server of this test, in a thread: what it sends, and what it makes of
 * answers. */
#include "client.h"
#include "base/fd.h"
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct Server {
        char directory[64];
        int listener;
        const char *reply; /* sent to each message */
        bool give_fd;
        bool one_shot; /* closes after each reply */
        pthread_t thread;
        char last[65536]; /* the last message */
        int last_fd;
} Server;

static void send_reply(Server *server, int fd)
{
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = { .header = { .cmsg_level = SOL_SOCKET,
                                  .cmsg_type = SCM_RIGHTS,
                                  .cmsg_len = CMSG_LEN(sizeof(int)) } };
        struct iovec iov = { (void *)(uintptr_t)server->reply, strlen(server->reply) + 1 };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
        int pair[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        memcpy(CMSG_DATA(&control.header), &pair[0], sizeof(int));
        if (server->give_fd) {
                message.msg_control = &control;
                message.msg_controllen = sizeof(control.space);
        }
        (void)sendmsg(fd, &message, MSG_NOSIGNAL);
        fd_close_all(pair, 2);
}

static void *serve(void *userdata)
{
        Server *server = userdata;
        int fd;

        while ((fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
                Link link = LINK_NULL;
                Slice message;

                link.fd = fd;
                while (link_receive(&link, UINT64_MAX, &message) == 0) {
                        (void)snprintf(server->last, sizeof(server->last), "%.*s",
                                       (int)message.size, (const char *)message.data);
                        (void)fd_close(server->last_fd);
                        server->last_fd = take_fd(&link.received);
                        send_reply(server, fd);
                        if (server->one_shot)
                                break;
                }
                link_close(&link);
        }
        return NULL;
}

static void server_start(Server *server)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        *server = (Server){ .directory = "/tmp/mcpcred-test-XXXXXX", .last_fd = -1 };
        ck_assert_ptr_nonnull(mkdtemp(server->directory));
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/broker.sock",
                       server->directory);
        server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(server->listener, (const void *)&address, sizeof(address)), 0);
        ck_assert_int_eq(listen(server->listener, 4), 0);
        ck_assert_int_eq(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_stop(Server *server)
{
        char path[128];

        (void)shutdown(server->listener, SHUT_RDWR);
        ck_assert_int_eq(pthread_join(server->thread, NULL), 0);
        (void)fd_close(server->listener);
        (void)fd_close(server->last_fd);
        (void)snprintf(path, sizeof(path), "%s/broker.sock", server->directory);
        (void)unlink(path);
        (void)rmdir(server->directory);
}

#define OPENED                                                                                     \
        "{\"parameters\":{\"session\":\"s-0123456789abcdef\",\"expires\":\"2030-01-01T00:00:"      \
        "00Z\","                                                                                   \
        "\"environment\":[{\"name\":\"A\",\"value\":\"one\"},{\"name\":\"B\",\"value\":\"\"}],"    \
        "\"grants\":[{\"profile\":\"p\",\"deliver\":\"file\",\"path\":\"/x/y\"}],"                 \
        "\"socket\":\"/x/broker.sock\",\"directory\":\"/x\"}}"

START_TEST(test_session)
{
        Server server;
        mcpcred *client;
        mcpcred_open *request;
        mcpcred_session *session;
        char byte;

        server_start(&server);
        server.reply = OPENED;
        server.give_fd = true;
        ck_assert_int_eq(mcpcred_new(&client), 0);
        ck_assert_int_eq(mcpcred_set_runtime(client, server.directory), 0);
        ck_assert_int_eq(mcpcred_open_new(&request), 0);
        ck_assert_int_eq(mcpcred_open_grant(request, "p"), 0);
        ck_assert_int_eq(mcpcred_open_want_descriptor(request), 0);
        ck_assert_int_eq(mcpcred_session_open(client, request, &session), 0);
        ck_assert_str_eq(mcpcred_session_id(session), "s-0123456789abcdef");
        ck_assert_uint_eq(mcpcred_session_environment_count(session), 2);
        ck_assert_str_eq(mcpcred_session_environment_value(session, 0), "one");
        ck_assert_str_eq(mcpcred_session_environment_value(session, 1), "");
        ck_assert_ptr_null(mcpcred_session_environment_value(session, 2));
        ck_assert_str_eq(mcpcred_row_text(mcpcred_session_grant(session, 0), "path"), "/x/y");
        ck_assert_ptr_null(mcpcred_session_grant(session, 1));
        ck_assert_int_ge(mcpcred_session_fd(session), 0);
        ck_assert_ptr_nonnull(strstr(server.last, "\"lifeline\":\"descriptor\""));
        ck_assert_ptr_null(strstr(server.last, "caller"));
        /* The lifeline: open while the session is, at its end when it is freed. */
        ck_assert_int_ge(server.last_fd, 0);
        ck_assert_int_eq(recv(server.last_fd, &byte, 1, MSG_DONTWAIT), -1);
        mcpcred_session_free(session);
        ck_assert_int_eq(recv(server.last_fd, &byte, 1, 0), 0);
        mcpcred_open_free(request);
        mcpcred_free(client);
        server_stop(&server);
}
END_TEST

/* A server that breaks its word gets no session out of us, and nothing leaks (run under ASan). */
START_TEST(test_broken_answers)
{
        static const char *const replies[] = {
                "{\"parameters\":{}}",
                "{\"parameters\":{\"session\":5}}",
                ("{\"parameters\":{\"session\":\"s\",\"environment\":[{\"name\":\"A\",\"value\":"
                 "\"x\"},{}]}}"),
                "{\"error\":\"io.mcpcred.Broker.PolicyDenied\"}",
                "[]",
        };
        Server server;
        mcpcred *client;
        mcpcred_open *request;
        mcpcred_session *session = NULL;

        server_start(&server);
        ck_assert_int_eq(mcpcred_new(&client), 0);
        ck_assert_int_eq(mcpcred_set_runtime(client, server.directory), 0);
        ck_assert_int_eq(mcpcred_open_new(&request), 0);
        ck_assert_int_eq(mcpcred_open_grant(request, "p"), 0);
        for (size_t i = 0; i < ARRAY_SIZE(replies); i++) {
                server.reply = replies[i];
                ck_assert_int_ne(mcpcred_session_open(client, request, &session), 0);
                ck_assert_int_ne(mcpcred_error_code(client), 0);
                ck_assert(*mcpcred_error_message(client) != '\0');
        }
        server.reply = OPENED; /* with a descriptor that was not asked for */
        server.give_fd = true;
        ck_assert_int_eq(mcpcred_session_open(client, request, &session), MCPCRED_E_PROTOCOL);
        server.give_fd = false; /* and without one that was */
        ck_assert_int_eq(mcpcred_open_want_descriptor(request), 0);
        ck_assert_int_eq(mcpcred_session_open(client, request, &session), MCPCRED_E_PROTOCOL);
        ck_assert_ptr_null(session);
        mcpcred_open_free(request);
        mcpcred_free(client);
        server_stop(&server);
}
END_TEST

/* What a proxy needs is asked for and told of, and a socket goes to the session's own socket with its
 * secret. */
START_TEST(test_serve_at_the_socket)
{
        static const char *const services[] = { "proxy", "tls", "dns", "loopback" };
        Server server;
        mcpcred *client;
        mcpcred_open *request;
        mcpcred_session *session;
        char reply[1024], service[32];
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        server_start(&server);
        (void)snprintf(reply, sizeof(reply),
                       "{\"parameters\":{\"session\":\"s\",\"expires\":\"2030-01-01T00:00:00Z\","
                       "\"environment\":[{\"name\":\"MCPCRED_SESSION\",\"value\":\"sec\"}],"
                       "\"grants\":[],\"socket\":\"%s/broker.sock\",\"directory\":\"/x\","
                       "\"proxy_socket\":\"/x/proxy.sock\",\"ca\":\"/x/ca.pem\","
                       "\"ca_bundle\":\"/x/ca-bundle.pem\",\"hosts\":[\"a.example\"]}}",
                       server.directory);
        server.reply = reply;
        ck_assert_int_eq(mcpcred_new(&client), 0);
        ck_assert_int_eq(mcpcred_set_runtime(client, server.directory), 0);
        ck_assert_int_eq(mcpcred_open_new(&request), 0);
        ck_assert_int_eq(mcpcred_open_grant(request, "p"), 0);
        ck_assert_int_eq(mcpcred_open_proxy(request, "127.0.0.1:3128"), 0);
        ck_assert_int_eq(mcpcred_open_sandboxed(request, 1), 0);
        ck_assert_int_eq(mcpcred_session_open(client, request, &session), 0);
        ck_assert_ptr_nonnull(strstr(server.last, "\"proxy\":\"127.0.0.1:3128\""));
        ck_assert_ptr_nonnull(strstr(server.last, "\"sandboxed\":true"));
        ck_assert_str_eq(mcpcred_session_proxy_socket(session), "/x/proxy.sock");
        ck_assert_str_eq(mcpcred_session_ca(session), "/x/ca.pem");
        ck_assert_str_eq(mcpcred_session_ca_bundle(session), "/x/ca-bundle.pem");
        ck_assert_str_eq(mcpcred_session_host(session, 0), "a.example");
        ck_assert_ptr_null(mcpcred_session_host(session, 1));
        mcpcred_disconnect(client); /* the server takes one connection at a time */
        server.reply = "{\"parameters\":{}}";
        for (size_t i = 0; i < ARRAY_SIZE(services); i++) {
                ck_assert_int_eq(mcpcred_session_serve(client, session, (mcpcred_service)i, fd), 0);
                ck_assert_int_ge(server.last_fd, 0);
                (void)snprintf(service, sizeof(service), "\"service\":\"%s\"", services[i]);
                ck_assert_ptr_nonnull(strstr(server.last, "io.mcpcred.Session.Serve"));
                ck_assert_ptr_nonnull(strstr(server.last, "\"session\":\"sec\""));
                ck_assert_ptr_nonnull(strstr(server.last, service));
        }
        ck_assert_int_eq(mcpcred_session_serve(client, session, MCPCRED_SERVICE_TLS, -1),
                         MCPCRED_E_MISUSE);
        mcpcred_session_free(session);
        mcpcred_open_free(request);
        mcpcred_free(client);
        server_stop(&server);
        (void)fd_close(fd);
}
END_TEST

START_TEST(test_error_is_whole)
{
        Server server;
        mcpcred *client;

        server_start(&server);
        server.reply = "{\"error\":\"io.mcpcred.Broker.KeyringLocked\",\"parameters\":{\"message\":"
                       "\"M\\u001b.\","
                       "\"remedy\":\"R.\",\"retry_after\":2}}";
        ck_assert_int_eq(mcpcred_new(&client), 0);
        ck_assert_int_eq(mcpcred_set_runtime(client, server.directory), 0);
        ck_assert_int_eq(mcpcred_reload(client, NULL), MCPCRED_E_KEYRING_LOCKED);
        ck_assert_str_eq(mcpcred_error_message(client), "M .");
        ck_assert_str_eq(mcpcred_error_remedy(client), "R.");
        ck_assert_str_eq(mcpcred_error_name(client), "KeyringLocked");
        ck_assert_int_eq(mcpcred_error_exit_status(client), 4);
        ck_assert_uint_eq(mcpcred_error_retry_after_ms(client), 2000);
        ck_assert_int_ge(mcpcred_fd(client), 0); /* a refusal is no reason to hang up */
        mcpcred_free(client);
        server_stop(&server);
}
END_TEST

/* Nothing of a call that changes something was sent when the connection was dead before it. */
START_TEST(test_idle_connection_is_replaced)
{
        Server server;
        mcpcred *client;

        server_start(&server);
        server.reply = "{\"parameters\":{\"profiles\":1}}";
        server.one_shot = true;
        ck_assert_int_eq(mcpcred_new(&client), 0);
        ck_assert_int_eq(mcpcred_set_runtime(client, server.directory), 0);
        for (unsigned i = 0; i < 5; i++) {
                ck_assert_int_eq(mcpcred_reload(client, NULL), 0);
                while (mcpcred_fd(client) >= 0 &&
                       recv(mcpcred_fd(client), &(char){ 0 }, 1, MSG_PEEK) > 0)
                        continue;
        }
        mcpcred_free(client);
        server_stop(&server);
}
END_TEST

START_TEST(test_directory_of_others)
{
        Server server;
        mcpcred *client;

        server_start(&server);
        server.reply = "{\"parameters\":{\"profiles\":1}}";
        ck_assert_int_eq(mcpcred_new(&client), 0);
        ck_assert_int_eq(mcpcred_set_runtime(client, server.directory), 0);
        ck_assert_int_eq(chmod(server.directory, 0770), 0);
        ck_assert_int_eq(mcpcred_reload(client, NULL), MCPCRED_E_UNTRUSTED);
        ck_assert_int_eq(chmod(server.directory, 0700), 0);
        ck_assert_int_eq(mcpcred_reload(client, NULL), 0);
        mcpcred_free(client);
        server_stop(&server);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("client-lib/session");
        TCase *test = tcase_create("session");
        SRunner *runner;
        int failed;

        tcase_set_timeout(test, 30);
        tcase_add_test(test, test_session);
        tcase_add_test(test, test_broken_answers);
        tcase_add_test(test, test_serve_at_the_socket);
        tcase_add_test(test, test_error_is_whole);
        tcase_add_test(test, test_idle_connection_is_replaced);
        tcase_add_test(test, test_directory_of_others);
        suite_add_tcase(suite, test);
        runner = srunner_create(suite);
        srunner_set_tap(runner, "-");
        srunner_run_all(runner, CK_SILENT);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? 0 : 1;
}
