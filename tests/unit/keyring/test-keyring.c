#include "fixture.h"
#include "base/fd.h"
#include "keyring/keyring.h"
#include "keyring/store_sealed_file.h"
#include <sodium.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALL_USEC (10 * USEC_PER_SEC)

/* Stands for the Secret Service: says what the test wants, and keeps one item. */
typedef struct FakeStore {
        Store store;
        int open_result;
        int load_result;
        bool forgets; /* what is stored in it */
        bool sticks;  /* what is removed from it */
        unsigned n_opens, n_locks;
        Secret *item;
        Arena *arena;
} FakeStore;

/* What came back of the last call. */
typedef struct Answer {
        bool there;
        Fault fault;
        char message[512];
        char remedy[512];
        StoreKind kind;
        Secret *value;
        unsigned method;
} Answer;

static Arena *arena;
static Loop *loop;
static Keyring *keyring;
static Channel *vault;
static FakeStore *fake;
static char *directory;
static Answer answer;
static char logged[4096];
static bool closed;

/* ---- the fake ---- */

static FakeStore *fake_of(Store *store)
{
        return container_of(store, FakeStore, store);
}

static void fake_free(Store *store)
{
        secret_free(fake_of(store)->item);
        free(fake_of(store));
}

static int fake_open(Store *store, Report *report)
{
        fake_of(store)->n_opens++;
        return fake_of(store)->open_result > 0
                       ? store_fail(report, (Fault)fake_of(store)->open_result, NULL, "as the test has it")
                       : fake_of(store)->open_result;
}

static int fake_unlock(Store *store, UNUSED const UnlockHow *how, Secret **ret_key, Report *report)
{
        *ret_key = NULL;
        return fake_open(store, report);
}

static void fake_lock(Store *store)
{
        fake_of(store)->n_locks++;
}

static int fake_load(Store *store, UNUSED const char *name, Secret **ret, UNUSED Report *report)
{
        FakeStore *self = fake_of(store);

        *ret = NULL;
        if (self->load_result)
                return self->load_result;
        return self->item ? error_fold(secret_from_bytes(ret, self->arena, secret_slice(self->item))) : 0;
}

static int fake_store(Store *store, UNUSED const char *name, const Secret *value, UNUSED Report *report)
{
        FakeStore *self = fake_of(store);

        if (self->forgets)
                return 0;
        self->item = secret_free(self->item);
        return error_fold(secret_from_bytes(&self->item, self->arena, secret_slice(value)));
}

static int fake_remove(Store *store, UNUSED const char *name, UNUSED Report *report)
{
        FakeStore *self = fake_of(store);

        if (!self->sticks)
                self->item = secret_free(self->item);
        return 0;
}

static const StoreVtable fake_vtable = {
        .kind = STORE_SECRET_SERVICE,
        .free = fake_free,
        .open = fake_open,
        .unlock = fake_unlock,
        .lock = fake_lock,
        .load = fake_load,
        .store = fake_store,
        .remove = fake_remove,
};

/* ---- the vault's end ---- */

static int on_reply(void *userdata, const Reply *reply)
{
        Answer *got = userdata;

        got->there = true;
        got->fault = reply->fault;
        (void)snprintf(got->message, sizeof(got->message), "%s", reply->message ? reply->message : "");
        (void)snprintf(got->remedy, sizeof(got->remedy), "%s", reply->remedy ? reply->remedy : "");
        if (reply->fault == FAULT_NONE && got->method == KEYRING_OPEN)
                got->kind = ((KeyringOpenReply *)reply->body)->kind;
        if (reply->fault == FAULT_NONE && got->method == KEYRING_LOAD)
                got->value = take_ptr(((KeyringLoadReply *)reply->body)->value);
        if (reply->fault == FAULT_NONE && got->method == KEYRING_UNLOCK)
                got->value = take_ptr(((KeyringUnlockReply *)reply->body)->key);
        return 0;
}

static int on_closed(UNUSED void *userdata, UNUSED Channel *channel, UNUSED const char *reason)
{
        closed = true;
        return 0;
}

static Fault call(unsigned method, const void *body)
{
        secret_free(answer.value);
        answer = (Answer){ .method = method };
        ck_assert_int_eq(channel_call(vault, method, body, NULL, 0, CALL_USEC, on_reply, &answer, NULL), 0);
        while (!answer.there)
                ck_assert_int_eq(loop_dispatch(loop, -1), 0);
        return answer.fault;
}

static Fault open_kind(StoreKind kind, StoreKind resume)
{
        KeyringOpenRequest request = { .kind = kind, .resume = resume };

        return call(KEYRING_OPEN, &request);
}

static Fault unlock(const char *passphrase, bool create)
{
        _cleanup_(secret_freep) Secret *secret = passphrase ? fixture_secret(arena, passphrase) : NULL;
        KeyringUnlockRequest request = { .passphrase = secret, .create = create };

        return call(KEYRING_UNLOCK, &request);
}

static Fault lock(void)
{
        Empty request = { 0 };

        return call(KEYRING_LOCK, &request);
}

static Fault store_item(const char *name, const char *text)
{
        _cleanup_(secret_freep) Secret *value = fixture_secret(arena, text);
        KeyringStoreRequest request = { .name = name, .value = value };

        return call(KEYRING_STORE, &request);
}

static Fault item(unsigned method, const char *name)
{
        KeyringItemRequest request = { .name = name };

        return call(method, &request);
}

static void expect_item(const char *name, const char *text)
{
        ck_assert_int_eq(item(KEYRING_LOAD, name), FAULT_NONE);
        if (text)
                ck_assert(answer.value && secret_equal(answer.value, slice_text(text)));
        else
                ck_assert_ptr_null(answer.value);
}

static void on_log(UNUSED void *userdata, UNUSED LogLevel level, const char *line)
{
        (void)snprintf(logged + strlen(logged), sizeof(logged) - strlen(logged), "%s\n", line);
}

static void attach(void)
{
        ChannelConfig config = {
                .loop = loop, .arena = arena, .out = &interface_keyring, .closed = on_closed,
        };
        int pair[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        ck_assert_int_eq(keyring_attach(keyring, pair[1]), 0);
        config.fd = pair[0];
        ck_assert_int_eq(channel_new(&vault, &config), 0);
}

static void setup(void)
{
        KeyringConfig config = { .n_stores = 3, .log = on_log };
        SealedFileConfig sealed = {
                .operations = crypto_pwhash_OPSLIMIT_MIN, .memory = crypto_pwhash_MEMLIMIT_MIN,
        };

        arena = fixture_arena();
        directory = fixture_directory();
        ck_assert_int_eq(loop_new(&loop, &clock_system), 0);
        fake = calloc(1, sizeof(*fake));
        ck_assert_ptr_nonnull(fake);
        fake->store.vtable = &fake_vtable;
        fake->arena = arena;
        sealed.arena = arena;
        sealed.directory = directory;
        config.loop = loop;
        config.arena = arena;
        config.stores[0] = &fake->store;
        ck_assert_int_eq(store_sealed_file_new(&config.stores[1], &sealed), 0);
        ck_assert_int_eq(store_memory_new(&config.stores[2], arena), 0);
        ck_assert_int_eq(keyring_new(&keyring, &config), 0);
        attach();
}

static void teardown(void)
{
        secret_free(answer.value);
        vault = channel_free(vault);
        keyring = keyring_free(keyring);
        loop = loop_free(loop);
        ck_assert_uint_eq(arena_used(arena), 0);
        arena = arena_free(arena);
        fixture_remove(directory);
}

/* ---- which store ---- */

START_TEST(auto_takes_the_service)
{
        ck_assert_int_eq(open_kind(STORE_AUTO, STORE_AUTO), FAULT_NONE);
        ck_assert_int_eq(answer.kind, STORE_SECRET_SERVICE);
}
END_TEST

/* Whatever is wrong with a service that is there: a sealed file must not take its place. */
START_TEST(auto_never_passes_over_a_service)
{
        static const int results[] = { FAULT_KEYRING_LOCKED, FAULT_KEYRING_HUNG, FAULT_KEYRING_FAILED };

        ck_assert_int_eq(open_kind(STORE_SEALED_FILE, STORE_AUTO), FAULT_KEYRING_ABSENT);
        ck_assert_int_eq(unlock("pass", true), FAULT_NONE);
        for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
                fake->open_result = results[i];
                ck_assert_int_eq(open_kind(STORE_AUTO, STORE_AUTO), results[i]);
                ck_assert_int_eq(item(KEYRING_LOAD, "a"), FAULT_KEYRING_LOCKED);
        }
}
END_TEST

START_TEST(auto_without_service_wants_a_person)
{
        fake->open_result = FAULT_KEYRING_ABSENT;
        ck_assert_int_eq(open_kind(STORE_AUTO, STORE_AUTO), FAULT_KEYRING_ABSENT);
        ck_assert_str_eq(answer.message, "as the test has it");
        ck_assert_ptr_nonnull(strstr(answer.remedy, "mcpcred unlock --create"));
        ck_assert(!store_sealed_file_exists(directory));
        ck_assert_int_eq(store_item("a", "x"), FAULT_KEYRING_LOCKED);
        ck_assert_int_eq(unlock("pass", true), FAULT_NONE);
        ck_assert_uint_eq(secret_size(answer.value), 32);
        ck_assert_int_eq(store_item("a", "x"), FAULT_NONE);
        ck_assert_int_eq(open_kind(STORE_AUTO, STORE_AUTO), FAULT_NONE);
        ck_assert_int_eq(answer.kind, STORE_SEALED_FILE);
        expect_item("a", "x");
}
END_TEST

START_TEST(auto_resumes_what_was_in_use)
{
        ck_assert_int_eq(open_kind(STORE_AUTO, STORE_SEALED_FILE), FAULT_KEYRING_ABSENT);
        ck_assert_uint_eq(fake->n_opens, 0);
        fake->open_result = FAULT_KEYRING_ABSENT;
        ck_assert_int_eq(unlock("pass", true), FAULT_NONE);
        ck_assert_int_eq(open_kind(STORE_AUTO, STORE_SECRET_SERVICE), FAULT_KEYRING_ABSENT);
        ck_assert_int_eq(item(KEYRING_LOAD, "a"), FAULT_KEYRING_LOCKED);
        ck_assert_int_eq(open_kind(STORE_AUTO, STORE_MEMORY), FAULT_INVALID_PARAMETER);
}
END_TEST

START_TEST(a_change_of_store_locks_the_one_before)
{
        fake->open_result = 0;
        ck_assert_int_eq(open_kind(STORE_SEALED_FILE, STORE_AUTO), FAULT_KEYRING_ABSENT);
        ck_assert_int_eq(unlock("pass", true), FAULT_NONE);
        ck_assert_int_eq(open_kind(STORE_SECRET_SERVICE, STORE_AUTO), FAULT_NONE);
        ck_assert_int_eq(open_kind(STORE_SEALED_FILE, STORE_AUTO), FAULT_KEYRING_LOCKED);
        ck_assert_uint_eq(fake->n_locks, 1);
}
END_TEST

START_TEST(nothing_before_open)
{
        ck_assert_int_eq(item(KEYRING_LOAD, "a"), FAULT_KEYRING_LOCKED);
        ck_assert_int_eq(store_item("a", "x"), FAULT_KEYRING_LOCKED);
        ck_assert_int_eq(item(KEYRING_REMOVE, "a"), FAULT_KEYRING_LOCKED);
        ck_assert_int_eq(unlock("pass", true), FAULT_KEYRING_LOCKED);
        ck_assert_int_eq(lock(), FAULT_NONE);
        ck_assert(!store_sealed_file_exists(directory));
}
END_TEST

START_TEST(lock_shuts_until_unlock_or_open)
{
        ck_assert_int_eq(open_kind(STORE_MEMORY, STORE_AUTO), FAULT_NONE);
        ck_assert_int_eq(store_item("a", "x"), FAULT_NONE);
        ck_assert_int_eq(lock(), FAULT_NONE);
        ck_assert_int_eq(item(KEYRING_LOAD, "a"), FAULT_KEYRING_LOCKED);
        ck_assert_int_eq(unlock(NULL, false), FAULT_NONE);
        expect_item("a", "x");
}
END_TEST

/* ---- items ---- */

START_TEST(items_of_each_store)
{
        static const StoreKind kinds[] = { STORE_SECRET_SERVICE, STORE_MEMORY };

        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                ck_assert_int_eq(open_kind(kinds[i], STORE_AUTO), FAULT_NONE);
                expect_item("a", NULL);
                ck_assert_int_eq(store_item("a", "one"), FAULT_NONE);
                ck_assert_int_eq(store_item("a", "two"), FAULT_NONE);
                expect_item("a", "two");
                ck_assert_int_eq(item(KEYRING_REMOVE, "a"), FAULT_NONE);
                ck_assert_int_eq(item(KEYRING_REMOVE, "a"), FAULT_NONE);
                expect_item("a", NULL);
        }
}
END_TEST

START_TEST(what_was_not_kept_is_told)
{
        ck_assert_int_eq(open_kind(STORE_SECRET_SERVICE, STORE_AUTO), FAULT_NONE);
        fake->forgets = true;
        ck_assert_int_eq(store_item("a", "x"), FAULT_KEYRING_FAILED);
        fake->forgets = false;
        ck_assert_int_eq(store_item("a", "x"), FAULT_NONE);
        fake->forgets = true;
        ck_assert_int_eq(store_item("a", "y"), FAULT_KEYRING_FAILED);
        fake->sticks = true;
        ck_assert_int_eq(item(KEYRING_REMOVE, "a"), FAULT_KEYRING_FAILED);
        fake->load_result = FAULT_KEYRING_HUNG;
        ck_assert_int_eq(store_item("a", "x"), FAULT_KEYRING_HUNG);
}
END_TEST

START_TEST(names_are_checked)
{
        static const char *const bad[] = { "", "_Root", "_other", "../a", "A", "a b", "a/b", "a\n" };

        ck_assert_int_eq(open_kind(STORE_MEMORY, STORE_AUTO), FAULT_NONE);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                ck_assert_int_eq(item(KEYRING_LOAD, bad[i]), FAULT_INVALID_PARAMETER);
                ck_assert_int_eq(store_item(bad[i], "x"), FAULT_INVALID_PARAMETER);
                ck_assert_int_eq(item(KEYRING_REMOVE, bad[i]), FAULT_INVALID_PARAMETER);
        }
        ck_assert_int_eq(store_item(KEYRING_ROOT_ITEM, "x"), FAULT_NONE);
        ck_assert_int_eq(store_item("a.b-c_d", "x"), FAULT_NONE);
}
END_TEST

START_TEST(largest_item_passes)
{
        static char text[SECRET_MAX + 1];

        memset(text, 'x', SECRET_MAX);
        ck_assert_int_eq(open_kind(STORE_MEMORY, STORE_AUTO), FAULT_NONE);
        ck_assert_int_eq(store_item("a", text), FAULT_NONE);
        expect_item("a", text);
}
END_TEST

START_TEST(system_error_is_answered_and_survived)
{
        ck_assert_int_eq(open_kind(STORE_SECRET_SERVICE, STORE_AUTO), FAULT_NONE);
        fake->load_result = -ENOSPC;
        ck_assert_int_eq(item(KEYRING_LOAD, "a"), FAULT_INTERNAL);
        ck_assert_ptr_nonnull(strstr(answer.message, "No space"));
        fake->load_result = 0;
        expect_item("a", NULL);
}
END_TEST

START_TEST(log_names_no_value_and_no_message)
{
        ck_assert_int_eq(open_kind(STORE_SECRET_SERVICE, STORE_AUTO), FAULT_NONE);
        fake->forgets = true;
        ck_assert_int_eq(store_item("name-of-it", "needle"), FAULT_KEYRING_FAILED);
        fake->open_result = FAULT_KEYRING_FAILED;
        ck_assert_int_eq(open_kind(STORE_SECRET_SERVICE, STORE_AUTO), FAULT_KEYRING_FAILED);
        ck_assert_str_eq(logged, "Store: secret-service: KeyringFailed\nOpen: secret-service: KeyringFailed\n");
}
END_TEST

/* ---- the edge ---- */

START_TEST(second_edge_replaces_the_first)
{
        Channel *first;

        ck_assert_int_eq(open_kind(STORE_MEMORY, STORE_AUTO), FAULT_NONE);
        ck_assert_int_eq(store_item("a", "x"), FAULT_NONE);
        first = vault;
        attach();
        while (!closed)
                ck_assert_int_eq(loop_dispatch(loop, -1), 0);
        channel_free(first);
        expect_item("a", "x");
}
END_TEST

START_TEST(vault_that_is_gone_can_come_back)
{
        ck_assert_int_eq(open_kind(STORE_MEMORY, STORE_AUTO), FAULT_NONE);
        ck_assert_int_eq(store_item("a", "x"), FAULT_NONE);
        vault = channel_free(vault);
        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(loop_dispatch(loop, 0), 0);
        attach();
        expect_item("a", "x");
}
END_TEST

static void add_cases(Suite *suite)
{
        const TTest *const tests[] = {
                auto_takes_the_service, auto_never_passes_over_a_service, auto_without_service_wants_a_person,
                auto_resumes_what_was_in_use, a_change_of_store_locks_the_one_before, nothing_before_open,
                lock_shuts_until_unlock_or_open, items_of_each_store, what_was_not_kept_is_told,
                names_are_checked, largest_item_passes, system_error_is_answered_and_survived,
                log_names_no_value_and_no_message, second_edge_replaces_the_first,
                vault_that_is_gone_can_come_back,
        };
        TCase *tcase = tcase_create("keyring");

        tcase_add_checked_fixture(tcase, setup, teardown);
        for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
                tcase_add_test(tcase, tests[i]);
        suite_add_tcase(suite, tcase);
}

int main(void)
{
        return fixture_run("keyring", add_cases);
}
