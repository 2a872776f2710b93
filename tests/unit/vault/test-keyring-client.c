#undef NDEBUG
/* The vault's side of the keyring edge against a role and a supervisor of the test's own. */
#include "vault/keyring_client.h"
#include "edge.h"

static Edge edge;
static Channel *supervisor, *far; /* the vault's end and the supervisor's */
static Channel *role;             /* the keyring role's */
static KeyringClient *client;
static Request *asked[64];
static unsigned n_asked, n_done, n_restarts, n_chained;
static Fault fault;
static StoreKind kind;
static char value[64];
static int result; /* of the callback */

static int on_role(UNUSED void *userdata, UNUSED Channel *channel, Request *request)
{
        ck_assert_uint_lt(n_asked, ARRAY_SIZE(asked));
        asked[n_asked++] = request;
        return 0;
}

static int on_supervisor(UNUSED void *userdata, UNUSED Channel *channel, Request *request)
{
        ck_assert_int_eq(request->id, VAULT_RESTART_KEYRING);
        n_restarts++;
        request_done(request);
        return 0;
}

static int on_item(UNUSED void *userdata, Secret *secret, const Failure *failure)
{
        n_done++;
        fault = failure->fault;
        if (secret)
                (void)snprintf(value, sizeof(value), "%.*s", (int)secret_size(secret),
                               (const char *)secret_slice(secret).data);
        secret_free(secret);
        return result;
}

static int on_open(UNUSED void *userdata, StoreKind opened, Secret *key, const Failure *failure)
{
        secret_free(key);
        n_done++;
        fault = failure->fault;
        kind = opened;
        return 0;
}

static void attach(void)
{
        int pair[2];

        edge_pair(pair);
        role = edge_channel(&edge, pair[1], &interface_keyring, NULL, on_role, NULL);
        ck_assert_int_eq(keyring_client_attach(client, pair[0]), 0);
}

static void setup(void)
{
        int pair[2];

        edge_start(&edge, 256U * 1024U);
        n_asked = n_done = n_restarts = n_chained = 0;
        result = 0;
        value[0] = '\0';
        edge_pair(pair);
        supervisor = edge_channel(&edge, pair[0], NULL, &interface_from_vault, NULL, NULL);
        far = edge_channel(&edge, pair[1], &interface_from_vault, NULL, on_supervisor, NULL);
        ck_assert_int_eq(keyring_client_new(&client, edge.loop, edge.arena, &supervisor), 0);
        attach();
}

static void teardown(void)
{
        client = keyring_client_free(client);
        for (unsigned i = 0; i < n_asked; i++)
                if (asked[i])
                        request_done(asked[i]);
        role = channel_free(role);
        supervisor = channel_free(supervisor);
        far = channel_free(far);
        edge_stop(&edge);
}

static Request *take(unsigned i)
{
        ck_assert_uint_lt(i, n_asked);
        return take_ptr(asked[i]);
}

START_TEST(item_is_loaded)
{
        KeyringLoadReply reply = { 0 };
        Request *request;

        ck_assert_int_eq(keyring_client_load(client, "github", on_item, NULL), 0);
        edge_run(&edge);
        request = take(0);
        ck_assert_int_eq(request->id, KEYRING_LOAD);
        ck_assert_str_eq(((KeyringItemRequest *)request->body)->name, "github");
        if (_i == 1)
                ck_assert_int_eq(secret_from_bytes(&reply.value, edge.arena, slice_text("item")), 0);
        ck_assert_int_eq(request_reply(request, &reply, NULL, 0), 0);
        secret_free(reply.value);
        edge_run(&edge);
        ck_assert_uint_eq(n_done, 1);
        ck_assert_int_eq(fault, FAULT_NONE);
        ck_assert_str_eq(value, _i == 1 ? "item" : "");
}
END_TEST

START_TEST(each_call_is_of_its_kind)
{
        _cleanup_(secret_freep) Secret *secret = NULL;

        ck_assert_int_eq(secret_from_bytes(&secret, edge.arena, slice_text("v")), 0);
        ck_assert_int_eq(keyring_client_open(client, STORE_MEMORY, STORE_AUTO, on_open, NULL), 0);
        ck_assert_int_eq(keyring_client_unlock(client, secret, NULL, true, on_item, NULL), 0);
        ck_assert_int_eq(keyring_client_lock(client, on_item, NULL), 0);
        ck_assert_int_eq(keyring_client_store(client, "n", secret, on_item, NULL), 0);
        ck_assert_int_eq(keyring_client_remove(client, "n", on_item, NULL), 0);
        edge_run(&edge);
        ck_assert_int_eq(asked[0]->id, KEYRING_OPEN);
        ck_assert_int_eq(asked[1]->id, KEYRING_UNLOCK);
        ck_assert_int_eq(asked[2]->id, KEYRING_LOCK);
        ck_assert_int_eq(asked[3]->id, KEYRING_STORE);
        ck_assert_int_eq(asked[4]->id, KEYRING_REMOVE);
        ck_assert_int_eq(request_reply(take(0), &(KeyringOpenReply){ .kind = STORE_MEMORY }, NULL, 0), 0);
        ck_assert_int_eq(request_reply(take(1), &(KeyringUnlockReply){ .key = secret }, NULL, 0), 0);
        for (unsigned i = 2; i < 5; i++)
                ck_assert_int_eq(request_reply(take(i), &(Empty){ 0 }, NULL, 0), 0);
        edge_run(&edge);
        ck_assert_uint_eq(n_done, 5);
        ck_assert_int_eq(kind, STORE_MEMORY);
        ck_assert_str_eq(value, "v");
}
END_TEST

START_TEST(refusal_is_passed_on)
{
        ck_assert_int_eq(keyring_client_load(client, "x", on_item, NULL), 0);
        edge_run(&edge);
        ck_assert_int_eq(request_fail(take(0), FAULT_KEYRING_LOCKED, NULL), 0);
        edge_run(&edge);
        ck_assert_int_eq(fault, FAULT_KEYRING_LOCKED);
        ck_assert_uint_eq(n_restarts, 0);
}
END_TEST

START_TEST(hung_role_is_restarted)
{
        ck_assert_int_eq(keyring_client_load(client, "x", on_item, NULL), 0);
        edge_pass(&edge, 12 * USEC_PER_SEC - 1);
        ck_assert_uint_eq(n_done, 0);
        edge_pass(&edge, 1);
        ck_assert_uint_eq(n_done, 1);
        ck_assert_int_eq(fault, FAULT_KEYRING_HUNG);
        ck_assert_uint_eq(n_restarts, 1);
}
END_TEST

START_TEST(death_fails_what_waits_and_a_new_edge_serves)
{
        for (int i = 0; i < 5; i++)
                ck_assert_int_eq(keyring_client_load(client, "x", on_item, NULL), 0);
        edge_run(&edge);
        if (_i == 0) {
                role = channel_free(role);
                edge_run(&edge);
                ck_assert(!keyring_client_is_attached(client));
                ck_assert_int_eq(keyring_client_load(client, "x", on_item, NULL), 0); /* from within */
                ck_assert_uint_eq(n_done, 6);
                n_done = 5;
        } else { /* the new edge comes before the end of the old one is seen */
                Channel *old = role;

                attach();
                channel_free(old);
                edge_run(&edge);
        }
        ck_assert_uint_eq(n_done, 5);
        ck_assert_int_eq(fault, FAULT_UNAVAILABLE);
        if (_i == 0)
                attach();
        ck_assert_int_eq(keyring_client_load(client, "y", on_item, NULL), 0);
        edge_run(&edge);
        ck_assert_uint_eq(n_asked, 6);
        ck_assert_int_eq(request_reply(take(5), &(KeyringLoadReply){ 0 }, NULL, 0), 0);
        edge_run(&edge);
        ck_assert_uint_eq(n_done, 6);
        ck_assert_int_eq(fault, FAULT_NONE);
}
END_TEST

/* A failed call whose callback asks again, as the opening of the store does. */
static int on_chained(void *userdata, Secret *secret, const Failure *failure)
{
        secret_free(secret);
        ck_assert_int_eq(failure->fault, FAULT_UNAVAILABLE);
        n_done++;
        return ++n_chained < 3 ? keyring_client_load(client, "again", on_chained, userdata) : 0;
}

START_TEST(callback_may_ask_again)
{
        ck_assert_int_eq(keyring_client_load(client, "x", on_chained, NULL), 0);
        edge_run(&edge);
        if (_i == 0) {
                role = channel_free(role);
        } else {
                Channel *old = role;

                attach();
                channel_free(old);
        }
        edge_run(&edge);
        ck_assert_uint_eq(n_done, 3);
        ck_assert(keyring_client_is_attached(client) == (_i == 1));
}
END_TEST

START_TEST(error_of_a_callback_ends_nothing_twice)
{
        role = channel_free(role);
        edge_run(&edge);
        result = -EBADMSG;
        ck_assert_int_eq(keyring_client_load(client, "x", on_item, NULL), -EBADMSG);
        ck_assert_uint_eq(n_done, 1);
}
END_TEST

START_TEST(client_is_freed_while_calls_wait)
{
        for (int i = 0; i < 5; i++)
                ck_assert_int_eq(keyring_client_load(client, "x", on_item, NULL), 0);
        edge_run(&edge);
        client = keyring_client_free(client);
        ck_assert_uint_eq(n_done, 5);
        ck_assert_int_eq(fault, FAULT_UNAVAILABLE);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("vault/keyring_client");
        TCase *tcase = tcase_create("keyring_client");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 30);
        tcase_add_loop_test(tcase, item_is_loaded, 0, 2);
        tcase_add_test(tcase, each_call_is_of_its_kind);
        tcase_add_test(tcase, refusal_is_passed_on);
        tcase_add_test(tcase, hung_role_is_restarted);
        tcase_add_loop_test(tcase, death_fails_what_waits_and_a_new_edge_serves, 0, 2);
        tcase_add_loop_test(tcase, callback_may_ask_again, 0, 2);
        tcase_add_test(tcase, error_of_a_callback_ends_nothing_twice);
        tcase_add_test(tcase, client_is_freed_while_calls_wait);
        suite_add_tcase(suite, tcase);
        return edge_suite(suite);
}
