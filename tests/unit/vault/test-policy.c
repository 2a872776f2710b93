#undef NDEBUG
#include "vault/policy.h"
#include "edge.h"
#include <strings.h>

#define CASES 200000U

static const char *const repositories[] = { "octo/a", "octo/b", "Octo/A", "other/a" };
static const char *const permissions[] = { "contents", "issues", "metadata" };
static const char *const levels[] = { "read", "write", "admin", "all", "" };

/* ---- the model: what a scope can do, as a set of (repository, permission, level) ---- */

typedef struct Model {
        bool repository[3];  /* octo/a, octo/b, other/a */
        unsigned level[3];   /* of each permission; 0 is none */
} Model;

typedef struct Sample {
        const char *repository_items[4];
        TextPair permission_items[3];
        Scope scope;
        bool nonsense; /* has a level that is none */
} Sample;

static uint32_t next_random(uint32_t *state)
{
        *state = *state * 1664525U + 1013904223U;
        return *state >> 8;
}

static void sample_make(Sample *sample, uint32_t *state)
{
        *sample = (Sample){ 0 };
        for (size_t i = 0; i < ARRAY_SIZE(repositories); i++)
                if (next_random(state) % 3 == 0)
                        sample->repository_items[sample->scope.repositories.n++] = repositories[i];
        for (size_t i = 0; i < ARRAY_SIZE(permissions); i++)
                if (next_random(state) % 2 == 0) {
                        size_t level = next_random(state) % 16;

                        level = level < 14 ? level % 3 : level - 11; /* nonsense is rare */
                        sample->nonsense |= level > 2;
                        sample->permission_items[sample->scope.permissions.n++] =
                                (TextPair){ permissions[i], levels[level] };
                }
        sample->scope.repositories.items = sample->repository_items;
        sample->scope.permissions.items = sample->permission_items;
}

static unsigned rank(const char *level)
{
        return strcmp(level, "read") == 0 ? 1 : strcmp(level, "write") == 0 ? 2 : strcmp(level, "admin") == 0 ? 3 : 0;
}

static Model model_of(const Scope *scope)
{
        Model model = { 0 };

        for (size_t i = 0; i < scope->repositories.n; i++)
                model.repository[strcasecmp(scope->repositories.items[i], "octo/a") == 0   ? 0
                                 : strcasecmp(scope->repositories.items[i], "octo/b") == 0 ? 1
                                                                                           : 2] = true;
        for (size_t i = 0; i < scope->permissions.n; i++)
                for (size_t p = 0; p < ARRAY_SIZE(permissions); p++)
                        if (strcmp(scope->permissions.items[i].key, permissions[p]) == 0)
                                model.level[p] = rank(scope->permissions.items[i].value);
        return model;
}

/* Everything that `inner` can do, `outer` can; metadata may always be read. */
static bool is_subset(Model inner, Model outer)
{
        for (size_t r = 0; r < 3; r++)
                if (inner.repository[r] && !outer.repository[r])
                        return false;
        for (size_t p = 0; p < 3; p++)
                if (inner.level[p] > MAX(outer.level[p], p == 2 ? 1U : 0U))
                        return false;
        return true;
}

START_TEST(narrowing_never_widens)
{
        ConfigProfile profile = { .name = "p" };
        uint32_t state = 20240229;
        unsigned granted = 0, denied = 0;

        for (unsigned i = 0; i < CASES; i++) {
                Sample whole, asked;
                Failure failure = { 0 };
                Scope result;
                Model given, wanted;
                bool is_granted, covered;

                sample_make(&whole, &state);
                sample_make(&asked, &state);
                profile.scope = next_random(&state) % 10 == 0 ? NULL : &whole.scope;
                is_granted = policy_narrow(&profile, &asked.scope, &result, &failure);
                covered = is_subset(model_of(&asked.scope), profile.scope ? model_of(&whole.scope) : (Model){ 0 });
                if (is_granted) {
                        granted++;
                        ck_assert(covered && !asked.nonsense);
                        ck_assert(!failed(&failure));
                        if (profile.scope)
                                ck_assert(is_subset(model_of(&result), model_of(&whole.scope)));
                        /* What was asked for is given, neither more nor less. */
                        given = model_of(&result);
                        wanted = model_of(&asked.scope);
                        if (asked.scope.repositories.n > 0)
                                ck_assert_mem_eq(given.repository, wanted.repository, sizeof(given.repository));
                        if (asked.scope.permissions.n > 0)
                                ck_assert_mem_eq(given.level, wanted.level, sizeof(given.level));
                } else {
                        denied++;
                        ck_assert(!covered || asked.nonsense || whole.nonsense);
                        ck_assert_int_eq(failure.fault, FAULT_POLICY_DENIED);
                }
        }
        ck_assert_uint_gt(granted, CASES / 50);
        ck_assert_uint_gt(denied, CASES / 50);
}
END_TEST

START_TEST(nothing_asked_is_the_whole_profile)
{
        Sample whole;
        uint32_t state = 7;
        ConfigProfile profile = { .name = "p" };
        Failure failure = { 0 };
        Scope result, nothing = { 0 };

        sample_make(&whole, &state);
        profile.scope = &whole.scope;
        ck_assert(policy_narrow(&profile, NULL, &result, &failure));
        ck_assert_mem_eq(&result, &whole.scope, sizeof(result));
        ck_assert(policy_narrow(&profile, &nothing, &result, &failure));
        ck_assert_mem_eq(&result, &whole.scope, sizeof(result));
}
END_TEST

static bool admits(const ConfigProfile *profile, const Caller *caller, TextList command)
{
        Failure failure = { 0 };
        bool r = policy_admits(profile, caller, &command, &failure);

        ck_assert(r == !failed(&failure));
        if (!r)
                ck_assert_int_eq(failure.fault, FAULT_POLICY_DENIED);
        return r;
}

START_TEST(caller_is_held_to_the_profile)
{
        const char *uids[] = { "1000", "1001" }, *pinned[] = { "npx", "server" }, *other[] = { "npx", "server", "-x" };
        ConfigProfile open = { .name = "open" };
        ConfigProfile by_uid = { .name = "uid", .caller_uids = { uids, 2 } };
        ConfigProfile by_unit = { .name = "unit", .caller_unit = "agent.service" };
        ConfigProfile by_command = { .name = "command", .command = { pinned, 2 } };
        TextList none = { 0 };

        ck_assert(admits(&open, &(Caller){ .uid = 5 }, none));
        ck_assert(admits(&by_uid, &(Caller){ .uid = 1001 }, none));
        ck_assert(!admits(&by_uid, &(Caller){ .uid = 100 }, none));
        ck_assert(!admits(&by_uid, &(Caller){ .uid = 0 }, none));
        ck_assert(admits(&by_unit, &(Caller){ .unit = "agent.service" }, none));
        ck_assert(!admits(&by_unit, &(Caller){ .unit = "agent.service2" }, none));
        ck_assert(!admits(&by_unit, &(Caller){ 0 }, none));
        ck_assert(admits(&by_command, &(Caller){ 0 }, (TextList){ pinned, 2 }));
        ck_assert(!admits(&by_command, &(Caller){ 0 }, (TextList){ pinned, 1 }));
        ck_assert(!admits(&by_command, &(Caller){ 0 }, (TextList){ other, 3 }));
        ck_assert(!admits(&by_command, &(Caller){ 0 }, none));
}
END_TEST

/* A copy of its own, bounded, and alive for whoever holds on to it over a reload. */
START_TEST(profiles_are_copied_and_kept)
{
        ConfigureRequest settings = { .max_sessions = 3 };
        Scope scope = { 0 };
        char name[] = "one";
        ConfigProfile profile = { .name = name, .secret = "s", .scope = &scope, .source = "f:1" };
        Policy *policy, *held;

        ck_assert_int_eq(policy_new(&policy, &settings), 0);
        ck_assert_int_eq(policy_add(policy, &profile), 0);
        name[0] = 'X';
        ck_assert_ptr_nonnull(policy_find(policy, "one"));
        ck_assert_ptr_null(policy_find(policy, "Xne"));
        while (policy_count(policy) < POLICY_PROFILES_MAX)
                ck_assert_int_eq(policy_add(policy, &profile), 0);
        ck_assert_int_eq(policy_add(policy, &profile), -ENOBUFS);
        held = policy_ref(policy);
        policy = policy_unref(policy);
        ck_assert_str_eq(policy_at(held, 0)->name, "one");
        ck_assert_uint_eq(policy_settings(held)->max_sessions, 3);
        policy_unref(held);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("vault/policy");
        TCase *tcase = tcase_create("policy");

        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, narrowing_never_widens);
        tcase_add_test(tcase, nothing_asked_is_the_whole_profile);
        tcase_add_test(tcase, caller_is_held_to_the_profile);
        tcase_add_test(tcase, profiles_are_copied_and_kept);
        suite_add_tcase(suite, tcase);
        return edge_suite(suite);
}
