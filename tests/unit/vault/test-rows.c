#include "support.h"
#include "vault/db_schema.h"
#include "vault/rows_cutoff.h"
#include "vault/rows_lease.h"
#include "vault/rows_rotation.h"
#include "vault/rows_secret.h"
#include "vault/rows_session.h"
#include <sqlite3.h>

#define POOL_MAX (4U * 1024U * 1024U)

static const char *hosts[] = { "api.github.com" };
static TextPair parameters[] = { { "app_id", "1" }, { "installation_id", "2" } };

/* ---- secrets ---- */

static SecretRecord example_secret(const char *name)
{
        SecretRecord record = {
                .provider = "github-app",
                .base_url = "https://api.github.com",
                .hosts = { hosts, 1 },
                .parameters = { parameters, 2 },
                .generation = 1,
                .added = 1000,
        };

        (void)snprintf(record.name, sizeof(record.name), "%s", name);
        return record;
}

START_TEST(secrets_come_back)
{
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(POOL_MAX);
        SecretRecord record = example_secret("b"), back, *list;
        uint64_t n, rotating;
        size_t n_list;
        Fixture f;

        fixture_start(&f);
        ck_assert_int_eq(rows_secret_insert(f.db, &record), 0);
        ck_assert_int_eq(rows_secret_insert(f.db, &record), DB_E_EXISTS);
        record = example_secret("a");
        record.base_url = NULL;
        ck_assert_int_eq(rows_secret_insert(f.db, &record), 0);
        ck_assert_int_eq(rows_secret_get(f.db, "b", &pool, &back), 0);
        ck_assert_str_eq(back.provider, "github-app");
        ck_assert_str_eq(back.base_url, "https://api.github.com");
        ck_assert_str_eq(back.hosts.items[0], "api.github.com");
        ck_assert_str_eq(back.parameters.items[1].value, "2");
        ck_assert_uint_eq(back.added, 1000);
        ck_assert_int_eq(back.step, ROTATION_NONE);
        ck_assert_int_eq(rows_secret_list(f.db, NULL, 1, &pool, &list, &n_list), 0);
        ck_assert_uint_eq(n_list, 1);
        ck_assert_str_eq(list[0].name, "a");
        ck_assert_ptr_null(list[0].base_url);
        ck_assert_int_eq(rows_secret_list(f.db, "a", 64, &pool, &list, &n_list), 0);
        ck_assert_uint_eq(n_list, 1);
        ck_assert_int_eq(rows_secret_list(f.db, "b", 64, &pool, &list, &n_list), 0);
        ck_assert_uint_eq(n_list, 0);
        ck_assert_int_eq(rows_secret_count(f.db, &n, &rotating), 0);
        ck_assert_uint_eq(n, 2);
        ck_assert_uint_eq(rotating, 0);
        ck_assert_int_eq(rows_secret_remove(f.db, "a"), 0);
        ck_assert_int_eq(rows_secret_remove(f.db, "a"), DB_E_NOT_FOUND);
        ck_assert_int_eq(rows_secret_replace(f.db, &record), DB_E_NOT_FOUND);
        ck_assert_int_eq(rows_secret_get(f.db, "a", &pool, &back), DB_E_NOT_FOUND);
        fixture_stop(&f);
}
END_TEST

/* Each step can be taken once, and only after the one before it. */
START_TEST(rotation_steps_are_compare_and_set)
{
        static const RotationStep steps[] = { ROTATION_PLANNED,  ROTATION_CREATED,     ROTATION_STORED, ROTATION_VERIFIED,
                                              ROTATION_SWITCHED, ROTATION_OLD_REVOKED, ROTATION_NONE };
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(POOL_MAX);
        SecretRecord record = example_secret("s");
        Fixture f;

        fixture_start(&f);
        ck_assert_int_eq(rows_secret_insert(f.db, &record), 0);
        ck_assert_int_eq(
                rows_secret_rotation_advance(f.db, "s", ROTATION_PLANNED, ROTATION_STORED, 1),
                DB_E_NOT_FOUND);
        ck_assert_int_eq(rows_secret_rotation_plan(f.db, "s", 50), 0);
        ck_assert_int_eq(rows_secret_rotation_plan(f.db, "s", 50), DB_E_NOT_FOUND);
        for (size_t i = 1; i < ARRAY_SIZE(steps); i++) {
                bool switched = steps[i - 1] >= ROTATION_SWITCHED;

                ck_assert_int_eq(rows_secret_get(f.db, "s", &pool, &record), 0);
                ck_assert_int_eq(record.step, steps[i - 1]);
                ck_assert_uint_eq(record.generation, switched ? 2 : 1);
                ck_assert_uint_eq(record.next_generation, 2);
                ck_assert_int_eq(
                        rows_secret_rotation_advance(f.db, "s", steps[i - 1], steps[i], 100 + i),
                        0);
                ck_assert_int_eq(
                        rows_secret_rotation_advance(f.db, "s", steps[i - 1], steps[i], 100 + i),
                        DB_E_NOT_FOUND);
        }
        ck_assert_int_eq(rows_secret_get(f.db, "s", &pool, &record), 0);
        ck_assert_int_eq(record.step, ROTATION_NONE);
        ck_assert_uint_eq(record.generation, 2);
        ck_assert_uint_eq(record.next_generation, 0);
        ck_assert_uint_eq(record.rotated, 104);
        ck_assert_int_eq(
                rows_secret_rotation_advance(f.db, "s", ROTATION_PLANNED, ROTATION_SWITCHED, 1),
                -EINVAL);
        /* A value that a person made was created by nobody here. */
        ck_assert_int_eq(rows_secret_rotation_plan(f.db, "s", 60), 0);
        ck_assert_int_eq(rows_secret_rotation_advance(f.db, "s", ROTATION_PLANNED, ROTATION_STORED, 60), 0);
        /* Given up before the switch, never after it. */
        ck_assert_int_eq(rows_secret_rotation_abort(f.db, "s", ROTATION_NONE, 61), 0);
        ck_assert_int_eq(rows_secret_rotation_abort(f.db, "s", ROTATION_NONE, 61), DB_E_NOT_FOUND);
        ck_assert_int_eq(rows_secret_rotation_plan(f.db, "s", 62), 0);
        ck_assert_int_eq(rows_secret_rotation_abort(f.db, "s", ROTATION_STORED, 63), -EINVAL);
        for (size_t i = 1; i < 5; i++)
                ck_assert_int_eq(
                        rows_secret_rotation_advance(f.db, "s", steps[i - 1], steps[i], 70), 0);
        ck_assert_int_eq(rows_secret_rotation_abort(f.db, "s", ROTATION_NONE, 71), DB_E_NOT_FOUND);
        ck_assert_int_eq(rows_secret_rotation_abort(f.db, "s", ROTATION_NEEDS_HUMAN, 71), DB_E_NOT_FOUND);
        fixture_stop(&f);
}
END_TEST

/* What needs a person stays so until one has done something, and may do anything. */
START_TEST(a_rotation_can_wait_for_a_person)
{
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(POOL_MAX);
        SecretRecord record = example_secret("s");
        uint64_t n, rotating;
        Fixture f;

        fixture_start(&f);
        ck_assert_int_eq(rows_secret_insert(f.db, &record), 0);
        ck_assert_int_eq(rows_secret_rotation_abort(f.db, "s", ROTATION_NEEDS_HUMAN, 1), DB_E_NOT_FOUND);
        ck_assert_int_eq(rows_secret_rotation_plan(f.db, "s", 2), 0);
        ck_assert_int_eq(rows_secret_rotation_abort(f.db, "s", ROTATION_NEEDS_HUMAN, 3), 0);
        ck_assert_int_eq(rows_secret_rotation_advance(f.db, "s", ROTATION_NEEDS_HUMAN, ROTATION_NONE, 4), -EINVAL);
        ck_assert_int_eq(rows_secret_get(f.db, "s", &pool, &record), 0);
        ck_assert_int_eq(record.step, ROTATION_NEEDS_HUMAN);
        ck_assert_uint_eq(record.generation, 1);
        ck_assert_int_eq(rows_secret_count(f.db, &n, &rotating), 0);
        ck_assert_uint_eq(rotating, 1);
        ck_assert_int_eq(rows_secret_rotation_plan(f.db, "s", 5), 0);
        ck_assert_int_eq(rows_secret_rotation_abort(f.db, "s", ROTATION_NEEDS_HUMAN, 6), 0);
        ck_assert_int_eq(rows_secret_rotation_abort(f.db, "s", ROTATION_NONE, 7), 0);
        fixture_stop(&f);
}
END_TEST

START_TEST(what_an_upstream_says_of_a_secret_comes_back)
{
        static const char *rights[] = { "contents:write", "issues:read" };
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(POOL_MAX);
        SecretRecord record = example_secret("s"), back;
        SecretRecord said = { .secret_id = "42", .expires = 77, .rights_known = true, .rights = { rights, 2 } };
        SecretRecord schedule = { .schedule_failures = 3, .schedule_next = 99, .reminded = 1 };
        Fixture f;

        fixture_start(&f);
        ck_assert_int_eq(rows_secret_insert(f.db, &record), 0);
        ck_assert_int_eq(rows_secret_get(f.db, "s", &pool, &back), 0);
        ck_assert(!back.rights_known && !back.secret_id && back.expires == 0);
        ck_assert_int_eq(rows_secret_note(f.db, "s", &said), 0);
        ck_assert_int_eq(rows_secret_schedule(f.db, "s", &schedule), 0);
        ck_assert_int_eq(rows_secret_get(f.db, "s", &pool, &back), 0);
        ck_assert_str_eq(back.secret_id, "42");
        ck_assert_uint_eq(back.expires, 77);
        ck_assert(back.rights_known);
        ck_assert_uint_eq(back.rights.n, 2);
        ck_assert_str_eq(back.rights.items[1], "issues:read");
        ck_assert_uint_eq(back.schedule_failures, 3);
        ck_assert_uint_eq(back.schedule_next, 99);
        ck_assert_uint_eq(back.reminded, 1);
        /* None is something else than not known. */
        said.rights.n = 0;
        ck_assert_int_eq(rows_secret_note(f.db, "s", &said), 0);
        ck_assert_int_eq(rows_secret_get(f.db, "s", &pool, &back), 0);
        ck_assert(back.rights_known && back.rights.n == 0);
        ck_assert_int_eq(rows_secret_note(f.db, "nothing", &said), DB_E_NOT_FOUND);
        fixture_stop(&f);
}
END_TEST

/* ---- rotations ---- */

static Secret *secret_of(const Fixture *f, const char *text)
{
        Secret *secret;

        ck_assert_int_eq(secret_from_bytes(&secret, f->arena, slice_text(text)), 0);
        return secret;
}

static RotationRecord example_rotation(void)
{
        return (RotationRecord){
                .kind = ROTATION_CREATE,
                .label = "mcpcred-r-1",
                .cause = "rotate_every",
                .began = 10,
                .grace = 600,
                .allow_wider = true,
                .stuck = true,
                .old_secret_id = "41",
        };
}

START_TEST(journals_of_rotations_come_back)
{
        RotationRecord record = example_rotation(), back;
        Fixture f;

        fixture_start(&f);
        ck_assert_int_eq(rows_rotation_get(f.db, "s", &back), DB_E_NOT_FOUND);
        ck_assert_int_eq(rows_rotation_attempt(f.db, "s", &record), DB_E_NOT_FOUND);
        ck_assert_int_eq(rows_rotation_begin(f.db, "s", &record), 0);
        ck_assert_int_eq(rows_rotation_get(f.db, "s", &back), 0);
        ck_assert_int_eq(back.kind, ROTATION_CREATE);
        ck_assert_str_eq(back.label, "mcpcred-r-1");
        ck_assert_str_eq(back.cause, "rotate_every");
        ck_assert_str_eq(back.old_secret_id, "41");
        ck_assert_uint_eq(back.began, 10);
        ck_assert_uint_eq(back.grace, 600);
        ck_assert(back.allow_wider && back.stuck && !back.now && !back.has_value);
        record = (RotationRecord){ .attempts = 3, .next_attempt = 44, .problem = "away" };
        ck_assert_int_eq(rows_rotation_attempt(f.db, "s", &record), 0);
        ck_assert_int_eq(rows_rotation_get(f.db, "s", &back), 0);
        ck_assert_uint_eq(back.attempts, 3);
        ck_assert_uint_eq(back.next_attempt, 44);
        ck_assert_str_eq(back.problem, "away");
        ck_assert_str_eq(back.label, "mcpcred-r-1");
        ck_assert_int_eq(rows_rotation_end(f.db, "s"), 0);
        ck_assert_int_eq(rows_rotation_end(f.db, "s"), 0);
        ck_assert_int_eq(rows_rotation_get(f.db, "s", &back), DB_E_NOT_FOUND);
        fixture_stop(&f);
}
END_TEST

/* The value is kept sealed, opens for its own secret alone, and is gone once it is in use. */
START_TEST(values_of_rotations_are_sealed_and_bound)
{
        _cleanup_(secret_freep) Secret *value = NULL, *back = NULL;
        RotationRecord record = example_rotation(), read;
        Fixture f;

        fixture_start(&f);
        value = secret_of(&f, "a-value-that-upstream-made");
        ck_assert_int_eq(rows_rotation_created(f.db, "s", &record, value), DB_E_NOT_FOUND);
        ck_assert_int_eq(rows_rotation_begin(f.db, "s", &record), 0);
        ck_assert_int_eq(rows_rotation_value(f.db, "s", f.arena, &back), DB_E_NOT_FOUND);
        (void)snprintf(record.secret_id, sizeof(record.secret_id), "42");
        record.expires = 77;
        ck_assert_int_eq(rows_rotation_created(f.db, "s", &record, value), 0);
        ck_assert_int_eq(rows_rotation_get(f.db, "s", &read), 0);
        ck_assert(read.has_value && read.expires == 77);
        ck_assert_str_eq(read.secret_id, "42");
        ck_assert_int_eq(rows_rotation_value(f.db, "s", f.arena, &back), 0);
        ck_assert(secret_equal(back, slice_text("a-value-that-upstream-made")));
        back = secret_free(back);

        db_set_seal(f.db, NULL);
        ck_assert_int_eq(rows_rotation_value(f.db, "s", f.arena, &back), DB_E_SEALED);
        ck_assert_int_eq(rows_rotation_created(f.db, "s", &record, value), DB_E_SEALED);
        db_set_seal(f.db, f.seal);

        /* Moved to another secret it does not open. */
        ck_assert_int_eq(db_run_one(f.db, "UPDATE rotation SET secret = 't' WHERE secret = 's'", NULL, 0), 0);
        ck_assert_int_eq(rows_rotation_value(f.db, "t", f.arena, &back), DB_E_DAMAGED);
        ck_assert_int_eq(db_run_one(f.db, "UPDATE rotation SET secret = 's' WHERE secret = 't'", NULL, 0), 0);

        ck_assert_int_eq(rows_rotation_forget_value(f.db, "s"), 0);
        ck_assert_int_eq(rows_rotation_value(f.db, "s", f.arena, &back), DB_E_NOT_FOUND);
        /* One that is begun anew has none either. */
        ck_assert_int_eq(rows_rotation_created(f.db, "s", &record, value), 0);
        ck_assert_int_eq(rows_rotation_begin(f.db, "s", &record), 0);
        ck_assert_int_eq(rows_rotation_value(f.db, "s", f.arena, &back), DB_E_NOT_FOUND);
        value = secret_free(value);
        fixture_stop(&f);
}
END_TEST

/* ---- sessions ---- */

static const char *repositories[] = { "octo/hello" };
static TextPair permissions[] = { { "contents", "read" } };
static const char *command[] = { "npx", "server" };

static SessionRecord example_session(char last, GrantRecord *grant, Scope *scope)
{
        SessionRecord record = {
                .uid = 1000,
                .label = "test",
                .state = SESSION_OPENING,
                .opened = 1000,
                .expires = 2000,
                .deadline = 3000,
                .lifeline = LIFELINE_DESCRIPTOR,
                .secret_hash = { 1, 2, 3 },
                .grants = { grant, 1 },
        };

        *scope = (Scope){ .repositories = { repositories, 1 }, .permissions = { permissions, 1 } };
        *grant = (GrantRecord){ .profile = "triage",
                                .secret = "github",
                                .scope = scope,
                                .deliver = DELIVER_ENV,
                                .ttl = 60,
                                .env = "GITHUB_TOKEN",
                                .command = { command, 2 } };
        (void)snprintf(record.id, sizeof(record.id), "s-000000000000000%c", last);
        return record;
}

START_TEST(sessions_come_back)
{
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(POOL_MAX);
        GrantRecord grant, *grants;
        Scope scope;
        SessionRecord record = example_session('1', &grant, &scope), back, *list;
        uint64_t n;
        size_t n_list;
        Fixture f;

        fixture_start(&f);
        ck_assert_int_eq(rows_session_insert(f.db, &record, NULL), 0);
        ck_assert_uint_eq(record.sequence, 1);
        ck_assert_int_eq(rows_session_insert(f.db, &record, NULL), DB_E_EXISTS);
        ck_assert_int_eq(rows_session_get(f.db, record.id, &pool, &back), 0);
        ck_assert_mem_eq(back.secret_hash, record.secret_hash, sizeof(back.secret_hash));
        ck_assert_int_eq(back.lifeline, LIFELINE_DESCRIPTOR);
        ck_assert_uint_eq(back.grants.n, 1);
        grants = back.grants.items;
        ck_assert_str_eq(grants[0].profile, "triage");
        ck_assert_str_eq(grants[0].scope->repositories.items[0], "octo/hello");
        ck_assert_str_eq(grants[0].command.items[1], "server");
        ck_assert_uint_eq(grants[0].deliver, DELIVER_ENV);
        ck_assert_int_eq(rows_session_set_live(f.db, record.id), 0);
        ck_assert_int_eq(rows_session_set_live(f.db, record.id), DB_E_NOT_FOUND);
        ck_assert_int_eq(rows_session_count(f.db, 1000, &n), 0);
        ck_assert_uint_eq(n, 1);
        ck_assert_int_eq(rows_session_count(f.db, 0, &n), 0);
        ck_assert_uint_eq(n, 0);
        ck_assert_int_eq(rows_session_end(f.db, record.id, 1500, "closed"), 0);
        ck_assert_int_eq(rows_session_end(f.db, record.id, 1500, "closed"), DB_E_NOT_FOUND);
        ck_assert_int_eq(rows_session_count(f.db, UINT64_MAX, &n), 0);
        ck_assert_uint_eq(n, 0);
        ck_assert_int_eq(rows_session_list(f.db, false, 0, 64, &pool, &list, &n_list), 0);
        ck_assert_uint_eq(n_list, 0);
        ck_assert_int_eq(rows_session_list(f.db, true, 0, 64, &pool, &list, &n_list), 0);
        ck_assert_uint_eq(n_list, 1);
        ck_assert_str_eq(list[0].end_reason, "closed");
        ck_assert_int_eq(rows_session_prune(f.db, 1501, 64, &n), 0);
        ck_assert_uint_eq(n, 1);
        fixture_stop(&f);
}
END_TEST

static const char *allow[] = { "GET api.example.com /v1/**", "POST api.example.com /v1/items" };
static const char *addresses[] = { "127.0.0.0/8" };
static TextPair variables[] = { { "API_TOKEN_AGAIN", "{handle}" } };

/* A grant by proxy is kept as it was at the open: later changes of the configuration do not reach it. */
static EgressPolicy example_egress(void)
{
        return (EgressPolicy){
                .slot = SLOT_HEADER,
                .slot_name = "x-api-key",
                .slot_prefix = "Key ",
                .allow = { allow, 2 },
                .addresses = { addresses, 1 },
                .rate = 60,
                .rate_seconds = 60,
                .max_uses = 7,
                .scrub = SCRUB_STRICT,
                .websocket = true,
        };
}

static Secret *new_secret(const Fixture *f, const char *text)
{
        Secret *secret;

        ck_assert_int_eq(secret_from_bytes(&secret, f->arena, slice_text(text)), 0);
        return secret;
}

static SessionRecord insert_with_proxy(const Fixture *f)
{
        EgressPolicy egress = example_egress();
        HandleRecord handle = { .profile = "triage", .handle = new_secret(f, "the-handle-canary") };
        SessionProxy proxy = {
                .handles = { &handle, 1 },
                .certificate = slice_text("certificate"),
                .key = new_secret(f, "the-key-canary"),
        };
        GrantRecord grant;
        Scope scope;
        SessionRecord record = example_session('1', &grant, &scope);

        grant.deliver = DELIVER_ENDPOINT;
        grant.egress = &egress;
        grant.env_url = "API_URL";
        grant.url_host = "api.example.com";
        grant.url_path = "/v1";
        grant.variables = (TextMap){ variables, 1 };
        ck_assert_int_eq(rows_session_insert(f->db, &record, &proxy), 0);
        secret_free(handle.handle);
        secret_free(proxy.key);
        return record;
}

START_TEST(proxy_grants_come_back)
{
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(POOL_MAX);
        SessionRecord record, back;
        const GrantRecord *grant;
        Fixture f;

        fixture_start(&f);
        record = insert_with_proxy(&f);
        ck_assert_int_eq(rows_session_get(f.db, record.id, &pool, &back), 0);
        grant = back.grants.items;
        ck_assert_ptr_nonnull(grant->egress);
        ck_assert_uint_eq(grant->egress->slot, SLOT_HEADER);
        ck_assert_str_eq(grant->egress->slot_name, "x-api-key");
        ck_assert_str_eq(grant->egress->slot_prefix, "Key ");
        ck_assert_uint_eq(grant->egress->allow.n, 2);
        ck_assert_str_eq(grant->egress->allow.items[1], allow[1]);
        ck_assert_str_eq(grant->egress->addresses.items[0], addresses[0]);
        ck_assert_uint_eq(grant->egress->max_uses, 7);
        ck_assert_uint_eq(grant->egress->scrub, SCRUB_STRICT);
        ck_assert(grant->egress->websocket);
        ck_assert(!grant->egress->cookies);
        ck_assert_str_eq(grant->env_url, "API_URL");
        ck_assert_str_eq(grant->url_host, "api.example.com");
        ck_assert_str_eq(grant->url_path, "/v1");
        ck_assert_str_eq(text_map_get(&grant->variables, "API_TOKEN_AGAIN"), "{handle}");
        fixture_stop(&f);
}
END_TEST

/* A process that is started anew gets the same, so that the child does not notice; and with the session all of
 * it is gone. */
START_TEST(proxy_side_is_kept_as_long_as_the_session)
{
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(POOL_MAX);
        SessionProxy back = { 0 };
        SessionRecord record;
        GrantRecord grant;
        Scope scope;
        Fixture f;

        fixture_start(&f);
        record = insert_with_proxy(&f);
        ck_assert_int_eq(rows_session_proxy(f.db, record.id, f.arena, &pool, &back), 0);
        ck_assert(secret_equal(session_proxy_handle(&back, "triage"), slice_text("the-handle-canary")));
        ck_assert_ptr_null(session_proxy_handle(&back, "other"));
        ck_assert(secret_equal(back.key, slice_text("the-key-canary")));
        ck_assert(slice_is_text(back.certificate, "certificate"));
        session_proxy_clear(&back);
        db_set_seal(f.db, NULL);
        ck_assert_int_eq(rows_session_proxy(f.db, record.id, f.arena, &pool, &back), DB_E_SEALED);
        db_set_seal(f.db, f.seal);
        ck_assert_int_eq(rows_session_end(f.db, record.id, 1500, "closed"), 0);
        ck_assert_int_eq(rows_session_proxy(f.db, record.id, f.arena, &pool, &back), DB_E_NOT_FOUND);
        record = example_session('2', &grant, &scope);
        ck_assert_int_eq(rows_session_insert(f.db, &record, NULL), 0);
        ck_assert_int_eq(rows_session_proxy(f.db, record.id, f.arena, &pool, &back), DB_E_NOT_FOUND);
        fixture_stop(&f);
}
END_TEST

START_TEST(proxy_side_does_not_stand_in_the_file)
{
        _cleanup_(buf_deinit) Buf bytes = BUF_NULL(8U * 1024U * 1024U);
        char path[128];
        Fixture f;

        fixture_start(&f);
        (void)insert_with_proxy(&f);
        read_file(fixture_path(&f, "state.db-wal", path, sizeof(path)), &bytes);
        fixture_close(&f);
        read_file(fixture_path(&f, "state.db", path, sizeof(path)), &bytes);
        ck_assert_ptr_nonnull(memmem(bytes.data, bytes.size, "s-0000000000000001", 18));
        ck_assert_ptr_null(memmem(bytes.data, bytes.size, "canary", 6));
        ck_assert_ptr_null(memmem(bytes.data, bytes.size, "x-api-key", 9));
        fixture_remove_directory(&f);
}
END_TEST

/* The sealed form of one column does not open in the other's place. */
START_TEST(proxy_side_is_bound_to_its_column)
{
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(POOL_MAX);
        SessionProxy proxy = { 0 };
        SessionRecord record, back;
        char path[128];
        sqlite3 *sqlite;
        Fixture f;

        fixture_start(&f);
        record = insert_with_proxy(&f);
        fixture_close(&f);
        ck_assert_int_eq(sqlite3_open(fixture_path(&f, "state.db", path, sizeof(path)), &sqlite), SQLITE_OK);
        ck_assert_int_eq(sqlite3_exec(sqlite, "UPDATE session SET grants = proxy, proxy = grants", NULL, NULL, NULL),
                         SQLITE_OK);
        ck_assert_int_eq(sqlite3_close(sqlite), SQLITE_OK);
        fixture_open(&f);
        ck_assert_int_eq(rows_session_get(f.db, record.id, &pool, &back), DB_E_DAMAGED);
        ck_assert_int_eq(rows_session_proxy(f.db, record.id, f.arena, &pool, &proxy), DB_E_DAMAGED);
        fixture_stop(&f);
}
END_TEST

/* A state as the first version has left it, with one session in it. */
static void make_version_1(const Fixture *f, const char *session)
{
        static const char identity[] = "PRAGMA application_id = 0x6d637063; PRAGMA user_version = 1";
        char path[128], insert[512];
        sqlite3 *sqlite;

        (void)unlink(fixture_path(f, "state.db", path, sizeof(path)));
        (void)snprintf(insert, sizeof(insert),
                       "INSERT INTO session (id, uid, label, state, opened, expires, deadline, ended, end_reason,"
                       " lifeline, secret_hash, grants) VALUES ('%s', 1000, '', 1, 1, 2, 2, 0, '', 0, zeroblob(%u),"
                       " x'0102030405')",
                       session, (unsigned)SEAL_HASH_SIZE);
        ck_assert_int_eq(sqlite3_open(path, &sqlite), SQLITE_OK);
        ck_assert_int_eq(sqlite3_exec(sqlite, db_migrations[0], NULL, NULL, NULL), SQLITE_OK);
        ck_assert_int_eq(sqlite3_exec(sqlite, identity, NULL, NULL, NULL), SQLITE_OK);
        ck_assert_int_eq(sqlite3_exec(sqlite, insert, NULL, NULL, NULL), SQLITE_OK);
        ck_assert_int_eq(sqlite3_close(sqlite), SQLITE_OK);
}

/* What an earlier version has sealed cannot be read any more, and no listing may fail of it. */
START_TEST(sessions_of_the_version_before_are_listed_without_grants)
{
        static const char id[] = "s-0000000000000001";
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(POOL_MAX);
        SessionRecord *list;
        size_t n;
        Fixture f;

        fixture_start(&f);
        fixture_close(&f);
        make_version_1(&f, id);
        fixture_open(&f);
        ck_assert_int_eq(rows_session_list(f.db, false, 0, 64, &pool, &list, &n), 0);
        ck_assert_uint_eq(n, 1);
        ck_assert_str_eq(list[0].id, id);
        ck_assert_uint_eq(list[0].grants.n, 0);
        ck_assert_int_eq(rows_session_end(f.db, id, 5, "its lifeline is gone"), 0);
        fixture_stop(&f);
}
END_TEST

START_TEST(sessions_without_the_key)
{
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(POOL_MAX);
        GrantRecord grant;
        Scope scope;
        SessionRecord record = example_session('1', &grant, &scope), back, *list;
        uint64_t n;
        size_t n_list;
        Fixture f;

        fixture_start(&f);
        ck_assert_int_eq(rows_session_insert(f.db, &record, NULL), 0);
        db_set_seal(f.db, NULL);
        record = example_session('2', &grant, &scope);
        ck_assert_int_eq(rows_session_insert(f.db, &record, NULL), DB_E_SEALED);
        ck_assert_int_eq(rows_session_get(f.db, "s-0000000000000001", &pool, &back), DB_E_SEALED);
        ck_assert_int_eq(rows_session_list(f.db, true, 0, 64, &pool, &list, &n_list), 0);
        ck_assert_uint_eq(n_list, 1);
        ck_assert_uint_eq(list[0].grants.n, 0);
        /* Ending what is there needs no key. */
        ck_assert_int_eq(rows_session_end_all(f.db, 5, "another epoch", &n), 0);
        ck_assert_uint_eq(n, 1);
        fixture_stop(&f);
}
END_TEST

/* ---- leases ---- */

static LeaseRecord example_lease(unsigned number, const char *session, const char *profile,
                                 const char *secret)
{
        LeaseRecord record = {
                .provider = "github-app",
                .generation = 3,
                .state = LEASE_INTENT,
                .on_end = OUTCOME_PENDING,
                .created = 1000,
                .expires = 5000,
        };

        (void)snprintf(record.id, sizeof(record.id), "l-%016u", number);
        (void)snprintf(record.session, sizeof(record.session), "%s", session);
        (void)snprintf(record.profile, sizeof(record.profile), "%s", profile);
        (void)snprintf(record.secret, sizeof(record.secret), "%s", secret);
        return record;
}

static const LeaseUpstream upstream = { "https://api.github.com", { parameters, 2 } };

static LeaseRecord insert_lease(const Fixture *f, unsigned number, const char *session,
                                const char *profile, const char *secret)
{
        LeaseRecord record = example_lease(number, session, profile, secret);

        ck_assert_int_eq(rows_lease_insert(f->db, &record, &upstream, NULL), 0);
        return record;
}

/* Makes it live with a token of its own. */
static void make_live(const Fixture *f, const char *id)
{
        _cleanup_(secret_freep) Secret *value = NULL;
        uint8_t hash[SEAL_HASH_SIZE];
        LeaseToken token = { .hash = { hash, sizeof(hash) },
                             .upstream_id = "up-1",
                             .expires = 4000 };

        ck_assert_int_eq(secret_from_bytes(&value, f->arena, slice_text(id)), 0);
        seal_token_hash(f->seal, slice_text(id), hash);
        token.value = value;
        ck_assert_int_eq(rows_lease_set_live(f->db, id, &token), 0);
        ck_assert_int_eq(rows_lease_set_live(f->db, id, &token), DB_E_NOT_FOUND);
}

static LeaseRecord get_lease(const Fixture *f, const char *id)
{
        LeaseRecord record;

        ck_assert_int_eq(rows_lease_get(f->db, id, &record), 0);
        return record;
}

static int token_code(const Fixture *f, const char *id)
{
        _cleanup_(secret_freep) Secret *value = NULL;

        return rows_lease_token(f->db, id, f->arena, &value);
}

/* Who was handed the secret itself: not a handle's, not another secret's, not a later value. */
START_TEST(raw_holders_of_old_values_are_found)
{
        static const struct {
                const char *secret;
                Outcome on_end;
                uint64_t generation;
        } rows[] = {
                { "s", OUTCOME_IMPOSSIBLE_ROTATE, 1 }, { "s", OUTCOME_IMPOSSIBLE_ROTATE, 2 },
                { "s", OUTCOME_IMPOSSIBLE_ROTATE, 3 }, { "s", OUTCOME_NONE, 2 },
                { "t", OUTCOME_IMPOSSIBLE_ROTATE, 2 }, { "s", OUTCOME_IMPOSSIBLE_ROTATE, 2 },
        };
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(POOL_MAX);
        LeaseRecord *found;
        Fixture f;
        size_t n;

        fixture_start(&f);
        for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
                LeaseRecord record = example_lease(i, "s-holder", "p", rows[i].secret);

                record.state = LEASE_LIVE;
                record.on_end = rows[i].on_end;
                record.generation = rows[i].generation;
                ck_assert_int_eq(rows_lease_insert(f.db, &record, &upstream, NULL), 0);
        }
        ck_assert_int_eq(rows_lease_end(f.db, "l-0000000000000005", 9, "over"), 0);
        ck_assert_int_eq(rows_lease_list_raw(f.db, "s", 2, 0, 64, &pool, &found, &n), 0);
        ck_assert_uint_eq(n, 2);
        ck_assert_str_eq(found[0].id, "l-0000000000000000");
        ck_assert_str_eq(found[1].id, "l-0000000000000001");
        ck_assert_int_eq(rows_lease_list_raw(f.db, "s", 2, found[0].sequence, 64, &pool, &found, &n), 0);
        ck_assert_uint_eq(n, 1);
        fixture_stop(&f);
}
END_TEST

START_TEST(lease_lives_and_is_revoked)
{
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(POOL_MAX);
        uint8_t hash[SEAL_HASH_SIZE];
        LeaseUpstream back;
        LeaseRecord record, found, *list;
        Secret *value = NULL;
        uint64_t wake;
        size_t n;
        Fixture f;

        fixture_start(&f);
        record = insert_lease(&f, 1, "s-1", "p", "github");
        ck_assert_uint_eq(record.sequence, 1);
        ck_assert_int_eq(token_code(&f, record.id), DB_E_NOT_FOUND);
        make_live(&f, record.id);
        seal_token_hash(f.seal, slice_text(record.id), hash);
        ck_assert_int_eq(rows_lease_get_by_token(f.db, hash, &found), 0);
        ck_assert_str_eq(found.id, record.id);
        ck_assert_int_eq(found.state, LEASE_LIVE);
        ck_assert_uint_eq(found.expires, 4000);
        ck_assert(found.has_token);
        ck_assert_str_eq(found.upstream_id, "up-1");
        hash[0] ^= 1;
        ck_assert_int_eq(rows_lease_get_by_token(f.db, hash, &found), DB_E_NOT_FOUND);
        ck_assert_int_eq(rows_lease_token(f.db, record.id, f.arena, &value), 0);
        ck_assert(secret_equal(value, slice_text(record.id)));
        value = secret_free(value);
        /* The binding outlives the secret, which was never there. */
        ck_assert_int_eq(rows_lease_upstream(f.db, record.id, &pool, &back), 0);
        ck_assert_str_eq(back.base_url, "https://api.github.com");
        ck_assert_str_eq(back.parameters.items[0].key, "app_id");
        ck_assert_int_eq(rows_lease_next_expiry(f.db, &wake), 0);
        ck_assert_uint_eq(wake, 4000);
        ck_assert_int_eq(rows_lease_end(f.db, record.id, 2000, "session closed"), 0);
        ck_assert_int_eq(rows_lease_end(f.db, record.id, 2000, "session closed"), DB_E_NOT_FOUND);
        ck_assert_int_eq(rows_lease_list_due(f.db, "github-app", record.side, 2000, 64, &pool, &list, &n), 0);
        ck_assert_uint_eq(n, 1);
        ck_assert_int_eq(list[0].state, LEASE_REVOKING);
        ck_assert_int_eq(list[0].outcome, OUTCOME_PENDING);
        ck_assert_int_eq(rows_lease_retry(f.db, record.id, 2500, "unreachable"), 0);
        ck_assert_int_eq(rows_lease_list_due(f.db, "github-app", record.side, 2499, 64, &pool, &list, &n), 0);
        ck_assert_uint_eq(n, 0);
        ck_assert_int_eq(rows_lease_next_attempt(f.db, "github-app", record.side, 2000, &wake), 0);
        ck_assert_uint_eq(wake, 2500);
        ck_assert_int_eq(rows_lease_next_attempt(f.db, "github-app", record.side, 2500, &wake), 0);
        ck_assert_uint_eq(wake, UINT64_MAX);
        ck_assert_int_eq(rows_lease_list_due(f.db, "static", record.side, 2500, 64, &pool, &list, &n), 0);
        ck_assert_uint_eq(n, 0);
        /* By base URL; 0 is the provider's own. */
        ck_assert_uint_ne(record.side, 0);
        ck_assert_int_eq(rows_lease_list_due(f.db, "github-app", 0, 2500, 64, &pool, &list, &n), 0);
        ck_assert_uint_eq(n, 0);
        ck_assert_int_eq(rows_lease_next_attempt(f.db, "github-app", 0, 2000, &wake), 0);
        ck_assert_uint_eq(wake, UINT64_MAX);
        ck_assert_int_eq(rows_lease_next_side(f.db, "github-app", 0, &wake), 0);
        ck_assert_uint_eq(wake, record.side);
        ck_assert_int_eq(rows_lease_next_side(f.db, "github-app", record.side + 1, &wake), DB_E_NOT_FOUND);
        ck_assert_int_eq(rows_lease_next_side(f.db, "static", 0, &wake), DB_E_NOT_FOUND);
        ck_assert_int_eq(token_code(&f, record.id), 0);
        ck_assert_int_eq(rows_lease_finish(f.db, record.id, LEASE_REVOKED, OUTCOME_CONFIRMED, 2600,
                                           "confirmed"),
                         0);
        ck_assert_int_eq(
                rows_lease_finish(f.db, record.id, LEASE_REVOKED, OUTCOME_CONFIRMED, 2600, "x"),
                DB_E_NOT_FOUND);
        ck_assert_int_eq(token_code(&f, record.id), DB_E_NOT_FOUND);
        ck_assert_int_eq(rows_lease_upstream(f.db, record.id, &pool, &back), DB_E_NOT_FOUND);
        record = get_lease(&f, record.id);
        ck_assert_uint_eq(record.attempts, 1);
        ck_assert(!record.has_token);
        ck_assert_int_eq(rows_lease_next_expiry(f.db, &wake), 0);
        ck_assert_uint_eq(wake, UINT64_MAX);
        fixture_stop(&f);
}
END_TEST

START_TEST(lost_reply_stays_on_record)
{
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(POOL_MAX);
        _cleanup_(secret_freep) Secret *value = NULL;
        LeaseToken token = { .expires = 4500 };
        LeaseRecord record, *list;
        size_t n;
        Fixture f;

        fixture_start(&f);
        record = insert_lease(&f, 1, "s-1", "p", "github");
        ck_assert_int_eq(rows_lease_finish(f.db, record.id, LEASE_UNRECOVERABLE, OUTCOME_NONE, 1100,
                                           "reply lost"),
                         0);
        ck_assert_int_eq(rows_lease_set_live(f.db, record.id, &token), DB_E_NOT_FOUND);
        ck_assert_int_eq(rows_lease_list_expired(f.db, 4999, 64, &pool, &list, &n), 0);
        ck_assert_uint_eq(n, 0);
        ck_assert_int_eq(rows_lease_list_expired(f.db, 5000, 64, &pool, &list, &n), 0);
        ck_assert_uint_eq(n, 1);
        ck_assert_int_eq(list[0].state, LEASE_UNRECOVERABLE);
        /* It does come, late: kept for its revocation alone. */
        ck_assert_int_eq(secret_from_bytes(&value, f.arena, slice_text("late")), 0);
        token.value = value;
        ck_assert_int_eq(
                rows_lease_set_token(f.db, record.id, &token, 1200, "came after its session"), 0);
        ck_assert_int_eq(get_lease(&f, record.id).state, LEASE_REVOKING);
        ck_assert_int_eq(token_code(&f, record.id), 0);
        ck_assert_int_eq(
                rows_lease_finish(f.db, record.id, LEASE_EXPIRED, OUTCOME_NONE, 4500, "expired"),
                0);
        ck_assert_int_eq(rows_lease_set_token(f.db, record.id, &token, 1200, "too late"),
                         DB_E_NOT_FOUND);
        ck_assert_int_eq(rows_lease_finish(f.db, record.id, LEASE_LIVE, OUTCOME_NONE, 1, ""),
                         -EINVAL);
        value = secret_free(value);
        fixture_stop(&f);
}
END_TEST

/* Promise 5's other half: an attacker with the file cannot move a sealed value to a row of theirs.
 */
START_TEST(values_are_bound_to_their_row)
{
        char path[128];
        sqlite3 *sqlite;
        Fixture f;

        fixture_start(&f);
        make_live(&f, insert_lease(&f, 1, "s-1", "p", "github").id);
        make_live(&f, insert_lease(&f, 2, "s-2", "p", "github").id);
        ck_assert_int_eq(token_code(&f, "l-0000000000000001"), 0);
        fixture_close(&f);
        ck_assert_int_eq(sqlite3_open(fixture_path(&f, "state.db", path, sizeof(path)), &sqlite),
                         SQLITE_OK);
        ck_assert_int_eq(
                sqlite3_exec(
                        sqlite,
                        "UPDATE lease SET token = (SELECT token FROM lease WHERE sequence = 2)"
                        " WHERE sequence = 1; UPDATE lease SET token = upstream WHERE sequence = 2",
                        NULL, NULL, NULL),
                SQLITE_OK);
        ck_assert_int_eq(sqlite3_close(sqlite), SQLITE_OK);
        fixture_open(&f);
        ck_assert_int_eq(token_code(&f, "l-0000000000000001"), DB_E_DAMAGED);
        ck_assert_int_eq(token_code(&f, "l-0000000000000002"), DB_E_DAMAGED);
        fixture_stop(&f);
}
END_TEST

START_TEST(values_do_not_stand_in_the_file)
{
        _cleanup_(buf_deinit) Buf bytes = BUF_NULL(8U * 1024U * 1024U);
        _cleanup_(secret_freep) Secret *value = NULL;
        char path[128];
        LeaseToken token = { .expires = 4000 };
        Fixture f;

        fixture_start(&f);
        ck_assert_int_eq(secret_from_bytes(&value, f.arena, slice_text("canary-in-the-token")), 0);
        token.value = value;
        ck_assert_int_eq(
                rows_lease_set_live(f.db, insert_lease(&f, 1, "s-1", "p", "github").id, &token), 0);
        value = secret_free(value);
        read_file(fixture_path(&f, "state.db-wal", path, sizeof(path)), &bytes);
        fixture_close(&f);
        read_file(fixture_path(&f, "state.db", path, sizeof(path)), &bytes);
        ck_assert_ptr_nonnull(memmem(bytes.data, bytes.size, "l-0000000000000001", 18));
        ck_assert_ptr_null(memmem(bytes.data, bytes.size, "canary", 6));
        ck_assert_ptr_null(memmem(bytes.data, bytes.size, "installation_id", 15));
        fixture_remove_directory(&f);
}
END_TEST

static uint64_t count(const Fixture *f, LeaseFilter filter)
{
        uint64_t n;

        ck_assert_int_eq(rows_lease_count(f->db, &filter, &n), 0);
        return n;
}

START_TEST(leases_are_listed_by_pages_and_filters)
{
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(POOL_MAX);
        uint64_t after = 0, seen = 0, counts[LEASE_UNRECOVERABLE + 1], n_pruned;
        LeaseFilter open = { .states = LEASE_STATES_OPEN };
        LeaseRecord *list;
        size_t n;
        Fixture f;

        fixture_start(&f);
        ck_assert_int_eq(db_begin(f.db), 0);
        for (unsigned i = 1; i <= 200; i++) {
                LeaseRecord record = insert_lease(&f, i, i % 2 ? "s-odd" : "s-even",
                                                  i % 4 ? "p" : "four", i % 5 ? "github" : "five");

                if (i <= 100)
                        make_live(&f, record.id);
                if (i <= 10)
                        ck_assert_int_eq(rows_lease_finish(f.db, record.id, LEASE_REVOKED,
                                                           OUTCOME_CONFIRMED, i, "x"),
                                         0);
        }
        ck_assert_int_eq(db_commit(f.db), 0);
        do {
                ck_assert_int_eq(rows_lease_list(f.db, &open, after, 64, &pool, &list, &n), 0);
                for (size_t i = 0; i < n; i++) {
                        ck_assert_uint_gt(list[i].sequence, after);
                        after = list[i].sequence;
                        seen++;
                }
        } while (n > 0);
        ck_assert_uint_eq(seen, 190);
        ck_assert_uint_eq(count(&f, (LeaseFilter){ 0 }), 200);
        ck_assert_uint_eq(count(&f, (LeaseFilter){ .what.session = "s-odd" }), 100);
        ck_assert_uint_eq(count(&f, (LeaseFilter){ .what = { .session = "s-even", .profile = "four" } }), 50);
        ck_assert_uint_eq(count(&f, (LeaseFilter){ .what = { .session = "s-even", .secret = "five" } }), 20);
        ck_assert_uint_eq(count(&f, (LeaseFilter){ .what.secret = "five", .states = 1U << LEASE_LIVE }),
                          18);
        ck_assert_uint_eq(count(&f, (LeaseFilter){ .what.profile = "four", .up_to = 8 }), 2);
        ck_assert_int_eq(rows_lease_count_states(f.db, counts), 0);
        ck_assert_uint_eq(counts[LEASE_INTENT], 100);
        ck_assert_uint_eq(counts[LEASE_LIVE], 90);
        ck_assert_uint_eq(counts[LEASE_REVOKED], 10);
        ck_assert_int_eq(rows_lease_prune(f.db, 6, 3, &n_pruned), 0);
        ck_assert_uint_eq(n_pruned, 3);
        ck_assert_int_eq(rows_lease_prune(f.db, 6, 64, &n_pruned), 0);
        ck_assert_uint_eq(n_pruned, 2);
        fixture_stop(&f);
}
END_TEST

/* ---- cutoffs ---- */

static CutoffRecord insert_cutoff(const Fixture *f, Selection what)
{
        CutoffRecord record = { .time = 9000, .reason = "revoked" };

        cutoff_set(&record, &what);
        ck_assert_int_eq(rows_cutoff_insert(f->db, &record), 0);
        return record;
}

static bool is_cut(const Fixture *f, const LeaseRecord *lease)
{
        LeaseRecord as_stored = get_lease(f, lease->id);
        int r = rows_cutoff_covers(f->db, &as_stored, NULL);

        ck_assert(r == 0 || r == DB_E_NOT_FOUND);
        return r == 0;
}

START_TEST(cutoff_covers_what_was_there_before)
{
        LeaseRecord before, other, after;
        CutoffRecord cutoff;
        Fixture f;

        fixture_start(&f);
        cutoff = insert_cutoff(&f, (Selection){ 0 }); /* of nothing */
        ck_assert_uint_eq(cutoff.sequence, 0);
        before = insert_lease(&f, 1, "s-1", "p", "github");
        other = insert_lease(&f, 2, "s-2", "q", "gitlab");
        ck_assert(!is_cut(&f, &before));
        ck_assert_uint_eq(insert_cutoff(&f, (Selection){ .session = "s-1" }).sequence, 2);
        after = insert_lease(&f, 3, "s-1", "p", "github");
        ck_assert(is_cut(&f, &before));
        ck_assert(!is_cut(&f, &other));
        ck_assert(!is_cut(&f, &after));
        (void)insert_cutoff(&f, (Selection){ .profile = "q" });
        ck_assert(is_cut(&f, &other));
        (void)insert_cutoff(&f, (Selection){ .secret = "github" });
        ck_assert(is_cut(&f, &after));
        before = get_lease(&f, before.id);
        ck_assert_int_eq(rows_cutoff_covers(f.db, &before, &cutoff), 0);
        ck_assert_str_eq(cutoff.session, "s-1");
        after = insert_lease(&f, 4, "s-9", "z", "none");
        (void)insert_cutoff(&f, (Selection){ 0 });
        ck_assert(is_cut(&f, &after));
        fixture_stop(&f);
}
END_TEST

/* Of a session that user 1000 opened, created at 1000. */
static LeaseRecord lease_of_session(const Fixture *f)
{
        GrantRecord grant;
        Scope scope;
        SessionRecord session = example_session('1', &grant, &scope);
        LeaseRecord lease;

        session.uid = 1000;
        ck_assert_int_eq(rows_session_insert(f->db, &session, NULL), 0);
        lease = insert_lease(f, 1, session.id, "p", "github");
        lease = get_lease(f, lease.id);
        ck_assert_uint_eq(lease.principal, 1000);
        return lease;
}

/* Each selector by itself, with the value that the lease has, and with another. */
START_TEST(cutoff_covers_only_what_all_its_selectors_take)
{
        static const struct {
                Selection what;
                bool covers;
        } cases[] = {
                { { .session = "s-0000000000000001" }, true },
                { { .session = "s-0000000000000002" }, false },
                { { .profile = "p" }, true },
                { { .profile = "pp" }, false },
                { { .secret = "github" }, true },
                { { .secret = "gitlab" }, false },
                { { .provider = "github-app" }, true },
                { { .provider = "static" }, false },
                { { .has_principal = true, .principal = 1000 }, true },
                { { .has_principal = true, .principal = 0 }, false },
                { { .since = 1000 }, true }, /* at the very moment */
                { { .since = 1001 }, false },
                { { .profile = "p", .secret = "github", .provider = "github-app", .since = 999 }, true },
                { { .profile = "p", .secret = "gitlab" }, false },
                { { .profile = "q", .secret = "github" }, false },
                { { .provider = "github-app", .since = 1001 }, false },
                { { .session = "s-0000000000000001", .has_principal = true, .principal = 1001 }, false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                LeaseRecord lease;
                Fixture f;

                fixture_start(&f);
                lease = lease_of_session(&f);
                (void)insert_cutoff(&f, cases[i].what);
                ck_assert_msg(is_cut(&f, &lease) == cases[i].covers, "case %zu", i);
                ck_assert_msg(selection_takes(&cases[i].what, &lease) == cases[i].covers, "case %zu", i);
                fixture_stop(&f);
        }
}
END_TEST

/* A lease whose session nobody knows is no user's, and not the superuser's either. */
START_TEST(cutoff_of_a_user_leaves_what_is_nobodys)
{
        LeaseRecord lease;
        Fixture f;

        fixture_start(&f);
        lease = insert_lease(&f, 1, "s-unknown", "p", "github");
        (void)insert_cutoff(&f, (Selection){ .has_principal = true, .principal = 0 });
        ck_assert(!is_cut(&f, &lease));
        fixture_stop(&f);
}
END_TEST

START_TEST(cutoff_outlives_deleted_rows)
{
        uint64_t n;
        LeaseRecord lease;
        Fixture f;

        fixture_start(&f);
        lease = insert_lease(&f, 1, "s-1", "p", "github");
        (void)insert_cutoff(&f, (Selection){ 0 });
        ck_assert_int_eq(rows_lease_finish(f.db, lease.id, LEASE_FAILED, OUTCOME_NONE, 1, "x"), 0);
        ck_assert_int_eq(rows_lease_prune(f.db, 2, 64, &n), 0);
        ck_assert_uint_eq(n, 1);
        fixture_close(&f);
        fixture_open(&f);
        /* The next one must not get the number of the one that is gone. */
        lease = insert_lease(&f, 2, "s-1", "p", "github");
        ck_assert_uint_eq(lease.sequence, 2);
        ck_assert(!is_cut(&f, &lease));
        fixture_stop(&f);
}
END_TEST

/* Works it off as it is done in the background: a page, then what there is in the state. Returns the pages. */
static unsigned work_off(const Fixture *f, uint64_t id, size_t page)
{
        CutoffRecord cutoff;
        unsigned pages = 0;

        do {
                ck_assert_int_eq(rows_cutoff_next(f->db, CUTOFF_SESSIONS_ENDED, id - 1, &cutoff), 0);
                ck_assert_uint_eq(cutoff.id, id);
                ck_assert_int_eq(rows_lease_apply_cutoff(f->db, &cutoff, 7000, page, NULL), 0);
                if (cutoff.progress >= cutoff.sequence)
                        cutoff.step = CUTOFF_APPLIED;
                ck_assert_int_eq(rows_cutoff_set_progress(f->db, &cutoff), 0);
                ck_assert_uint_lt(++pages, 100);
        } while (cutoff.step != CUTOFF_APPLIED);
        return pages;
}

static CutoffRecord insert_ready(const Fixture *f, Selection what)
{
        CutoffRecord cutoff = insert_cutoff(f, what), next;

        ck_assert_int_eq(rows_cutoff_next(f->db, CUTOFF_WRITTEN, 0, &next), 0);
        ck_assert_uint_eq(next.id, cutoff.id);
        ck_assert_int_eq(rows_cutoff_next(f->db, CUTOFF_WRITTEN, cutoff.id, &next), DB_E_NOT_FOUND);
        cutoff.step = CUTOFF_SESSIONS_ENDED;
        ck_assert_int_eq(rows_cutoff_set_progress(f->db, &cutoff), 0);
        return cutoff;
}

static void insert_ten(const Fixture *f)
{
        for (unsigned i = 1; i <= 10; i++) {
                LeaseRecord record = example_lease(i, i % 2 ? "s-odd" : "s-even", "p", i % 5 ? "github" : "five");

                record.state = i == 10 ? LEASE_INTENT : LEASE_LIVE;
                record.on_end = i == 2 ? OUTCOME_IMPOSSIBLE_ROTATE : OUTCOME_PENDING;
                ck_assert_int_eq(rows_lease_insert(f->db, &record, &upstream, NULL), 0);
        }
}

START_TEST(cutoff_is_worked_off_in_pages)
{
        CutoffRecord cutoff, next;
        uint64_t n;
        Fixture f;

        fixture_start(&f);
        insert_ten(&f);
        ck_assert_int_eq(rows_cutoff_next(f.db, CUTOFF_SESSIONS_ENDED, 0, &next), DB_E_NOT_FOUND);
        cutoff = insert_ready(&f, (Selection){ .session = "s-even" });
        ck_assert_uint_eq(work_off(&f, cutoff.id, 3), 1);
        ck_assert_int_eq(rows_cutoff_next(f.db, CUTOFF_SESSIONS_ENDED, 0, &next), DB_E_NOT_FOUND);
        ck_assert_int_eq(get_lease(&f, "l-0000000000000001").state, LEASE_LIVE);
        ck_assert_int_eq(get_lease(&f, "l-0000000000000002").state, LEASE_REVOKED);
        ck_assert_int_eq(get_lease(&f, "l-0000000000000002").outcome, OUTCOME_IMPOSSIBLE_ROTATE);
        ck_assert_int_eq(get_lease(&f, "l-0000000000000004").state, LEASE_REVOKING);
        ck_assert_uint_eq(get_lease(&f, "l-0000000000000004").next_attempt, 7000);
        ck_assert_int_eq(get_lease(&f, "l-0000000000000010").state, LEASE_INTENT);
        /* The open intent keeps its cutoff alive. */
        ck_assert_int_eq(rows_cutoff_prune(f.db, &n), 0);
        ck_assert_uint_eq(n, 0);
        cutoff = insert_ready(&f, (Selection){ .secret = "five" });
        ck_assert_uint_eq(work_off(&f, cutoff.id, 1), 2);
        ck_assert_int_eq(get_lease(&f, "l-0000000000000005").state, LEASE_REVOKING);
        ck_assert_int_eq(get_lease(&f, "l-0000000000000001").state, LEASE_LIVE);
        /* Four are left that live; two at a time, and one more look that finds the end. */
        cutoff = insert_ready(&f, (Selection){ .profile = "p" });
        ck_assert_uint_eq(work_off(&f, cutoff.id, 2), 3);
        ck_assert_int_eq(get_lease(&f, "l-0000000000000009").state, LEASE_REVOKING);
        (void)insert_cutoff(&f, (Selection){ 0 });
        ck_assert_int_eq(
                rows_lease_finish(f.db, "l-0000000000000010", LEASE_FAILED, OUTCOME_NONE, 1, "x"),
                0);
        ck_assert_int_eq(rows_cutoff_prune(f.db, &n), 0);
        ck_assert_uint_eq(n, 3); /* the last is not worked off */
        fixture_stop(&f);
}
END_TEST

/* Those in between that it does not take are passed over once, not looked at by each page anew. */
START_TEST(cutoff_keeps_how_far_it_is)
{
        CutoffRecord cutoff, next;
        uint64_t n;
        Fixture f;

        fixture_start(&f);
        insert_ten(&f);
        cutoff = insert_ready(&f, (Selection){ .provider = "none" });
        ck_assert_int_eq(rows_lease_apply_cutoff(f.db, &cutoff, 7000, 4, &n), 0);
        ck_assert_uint_eq(n, 0);
        ck_assert_uint_eq(cutoff.progress, 4);
        ck_assert_int_eq(rows_cutoff_set_progress(f.db, &cutoff), 0);
        fixture_close(&f);
        fixture_open(&f);
        ck_assert_int_eq(rows_cutoff_next(f.db, CUTOFF_SESSIONS_ENDED, 0, &next), 0);
        ck_assert_uint_eq(next.progress, 4);
        ck_assert_str_eq(next.provider, "none");
        ck_assert_int_eq(rows_lease_apply_cutoff(f.db, &next, 7000, 64, &n), 0);
        ck_assert_uint_eq(next.progress, next.sequence);
        fixture_stop(&f);
}
END_TEST

START_TEST(what_an_answer_says_is_counted_by_outcome)
{
        uint64_t tally[OUTCOME_IMPOSSIBLE_ROTATE + 1] = { 0 };
        LeaseFilter filter = { .states = LEASE_STATES_OPEN };
        Fixture f;

        fixture_start(&f);
        insert_ten(&f);
        ck_assert_int_eq(rows_lease_end(f.db, "l-0000000000000001", 2000, "x"), 0);
        ck_assert_int_eq(rows_lease_tally(f.db, &filter, tally), 0);
        ck_assert_uint_eq(tally[OUTCOME_PENDING], 9); /* the one that is being revoked, and the intent, too */
        ck_assert_uint_eq(tally[OUTCOME_IMPOSSIBLE_ROTATE], 1);
        filter.what.session = "s-even";
        filter.up_to = 2;
        ck_assert_int_eq(rows_lease_tally(f.db, &filter, tally), 0);
        ck_assert_uint_eq(tally[OUTCOME_IMPOSSIBLE_ROTATE], 2);
        ck_assert_uint_eq(tally[OUTCOME_PENDING], 9);
        fixture_stop(&f);
}
END_TEST

/* What ends with its session although the selection does not name it. */
START_TEST(the_rest_of_a_session_is_found)
{
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(POOL_MAX);
        LeaseFilter filter = { .what.secret = "five", .states = LEASE_STATES_OPEN, .up_to = 5 };
        LeaseRecord *list;
        size_t n;
        Fixture f;

        fixture_start(&f);
        insert_ten(&f);
        ck_assert_int_eq(rows_lease_list_beyond(f.db, "s-odd", &filter, 0, 64, &pool, &list, &n), 0);
        ck_assert_uint_eq(n, 4); /* 1, 3, 7 and 9 */
        ck_assert_uint_eq(list[2].sequence, 7);
        ck_assert_int_eq(rows_lease_list_beyond(f.db, "s-even", &filter, 8, 64, &pool, &list, &n), 0);
        ck_assert_uint_eq(n, 1); /* the tenth came later than what is named */
        fixture_stop(&f);
}
END_TEST

static LeaseRecord example_dying(unsigned number)
{
        LeaseRecord record = example_lease(number, "", "", "github");

        record.kind = LEASE_SECRET;
        record.state = LEASE_REVOKING;
        record.outcome = OUTCOME_PENDING;
        record.ended = 1000;
        record.next_attempt = 6000;
        return record;
}

/* The value of a secret that is to die: asked for from its time on, for ever, and nobody's lease. */
START_TEST(a_dying_secret_is_due_until_it_is_dead)
{
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(POOL_MAX);
        Secret *value = NULL;
        LeaseToken token = { .upstream_id = "key-1", .expires = UINT64_MAX };
        LeaseRecord record = example_dying(1), *list;
        CutoffRecord cutoff;
        uint64_t when;
        size_t n;
        Fixture f;

        fixture_start(&f);
        ck_assert_int_eq(secret_from_bytes(&value, f.arena, slice_text("the old value")), 0);
        token.value = value;
        ck_assert_int_eq(rows_lease_insert(f.db, &record, &upstream, NULL), -EINVAL);
        ck_assert_int_eq(rows_lease_insert(f.db, &record, &upstream, &token), 0);
        value = secret_free(value);
        ck_assert_int_eq(rows_lease_list_due(f.db, "github-app", record.side, 5999, 64, &pool, &list, &n), 0);
        ck_assert_uint_eq(n, 0);
        ck_assert_int_eq(rows_lease_next_attempt(f.db, "github-app", record.side, 0, &when), 0);
        ck_assert_uint_eq(when, 6000);
        ck_assert_int_eq(rows_lease_list_due(f.db, "github-app", record.side, 6000, 64, &pool, &list, &n), 0);
        ck_assert_uint_eq(n, 1);
        ck_assert_str_eq(list[0].upstream_id, "key-1");
        ck_assert_uint_eq(list[0].expires, UINT64_MAX);
        ck_assert_int_eq(token_code(&f, record.id), 0);
        ck_assert_int_eq(rows_lease_list_expired(f.db, INT64_MAX - 1, 64, &pool, &list, &n), 0);
        ck_assert_uint_eq(n, 0);
        ck_assert_uint_eq(count(&f, (LeaseFilter){ .states = LEASE_STATES_OPEN }), 0);
        /* Neither a cutoff nor the end of a session touches it. */
        cutoff = insert_ready(&f, (Selection){ .secret = "github" });
        (void)work_off(&f, cutoff.id, 64);
        ck_assert_int_eq(rows_lease_end(f.db, record.id, 1, "x"), DB_E_NOT_FOUND);
        record = get_lease(&f, record.id);
        ck_assert_int_eq(record.state, LEASE_REVOKING);
        ck_assert_uint_eq(record.next_attempt, 6000);
        ck_assert_int_eq(rows_lease_finish(f.db, record.id, LEASE_REVOKED, OUTCOME_CONFIRMED, 9, "x"), 0);
        ck_assert_int_eq(token_code(&f, record.id), DB_E_NOT_FOUND);
        fixture_stop(&f);
}
END_TEST

START_TEST(long_reasons_are_cut_at_a_character)
{
        char reason[2000];
        LeaseRecord record;
        Fixture f;

        fixture_start(&f);
        memset(reason, 'x', sizeof(reason));
        for (size_t i = 1; i + 2 < sizeof(reason); i += 2)
                memcpy(reason + i, "\xc3\xa9", 2);
        reason[sizeof(reason) - 1] = '\0';
        record = insert_lease(&f, 1, "s-1", "p", "github");
        ck_assert_int_eq(rows_lease_finish(f.db, record.id, LEASE_FAILED, OUTCOME_NONE, 1, reason),
                         0);
        ck_assert_uint_eq(strlen(get_lease(&f, record.id).reason), LIMIT_TEXT - 1);
        fixture_stop(&f);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("rows");
        TCase *tests = tcase_create("rows");

        tcase_set_timeout(tests, 60);
        tcase_add_test(tests, secrets_come_back);
        tcase_add_test(tests, rotation_steps_are_compare_and_set);
        tcase_add_test(tests, a_rotation_can_wait_for_a_person);
        tcase_add_test(tests, what_an_upstream_says_of_a_secret_comes_back);
        tcase_add_test(tests, journals_of_rotations_come_back);
        tcase_add_test(tests, raw_holders_of_old_values_are_found);
        tcase_add_test(tests, values_of_rotations_are_sealed_and_bound);
        tcase_add_test(tests, sessions_come_back);
        tcase_add_test(tests, sessions_without_the_key);
        tcase_add_test(tests, proxy_grants_come_back);
        tcase_add_test(tests, proxy_side_is_kept_as_long_as_the_session);
        tcase_add_test(tests, proxy_side_does_not_stand_in_the_file);
        tcase_add_test(tests, proxy_side_is_bound_to_its_column);
        tcase_add_test(tests, sessions_of_the_version_before_are_listed_without_grants);
        tcase_add_test(tests, lease_lives_and_is_revoked);
        tcase_add_test(tests, lost_reply_stays_on_record);
        tcase_add_test(tests, values_are_bound_to_their_row);
        tcase_add_test(tests, values_do_not_stand_in_the_file);
        tcase_add_test(tests, leases_are_listed_by_pages_and_filters);
        tcase_add_test(tests, cutoff_covers_what_was_there_before);
        tcase_add_test(tests, cutoff_outlives_deleted_rows);
        tcase_add_test(tests, cutoff_covers_only_what_all_its_selectors_take);
        tcase_add_test(tests, cutoff_of_a_user_leaves_what_is_nobodys);
        tcase_add_test(tests, cutoff_keeps_how_far_it_is);
        tcase_add_test(tests, what_an_answer_says_is_counted_by_outcome);
        tcase_add_test(tests, the_rest_of_a_session_is_found);
        tcase_add_test(tests, a_dying_secret_is_due_until_it_is_dead);
        tcase_add_test(tests, cutoff_is_worked_off_in_pages);
        tcase_add_test(tests, long_reasons_are_cut_at_a_character);
        suite_add_tcase(suite, tests);
        return run_suite(suite);
}
