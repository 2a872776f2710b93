#include "fixture.h"
#include <stdio.h>

static Arena *arena;
static Store *store;

static void setup(void)
{
        arena = fixture_arena();
        ck_assert_int_eq(store_memory_new(&store, arena), 0);
}

static void teardown(void)
{
        store = store_free(store);
        ck_assert_uint_eq(arena_used(arena), 0);
        arena = arena_free(arena);
}

START_TEST(keeps_replaces_removes)
{
        Report report = { 0 };

        ck_assert_int_eq(store->vtable->open(store, &report), 0);
        fixture_expect(store, "a", NULL);
        fixture_store(store, arena, "a", "one", 0);
        fixture_store(store, arena, "b", "", 0);
        fixture_store(store, arena, "a", "two", 0);
        fixture_expect(store, "a", "two");
        fixture_expect(store, "b", "");
        ck_assert_int_eq(store->vtable->remove(store, "a", &report), 0);
        ck_assert_int_eq(store->vtable->remove(store, "a", &report), 0);
        fixture_expect(store, "a", NULL);
        fixture_expect(store, "b", "");
}
END_TEST

START_TEST(gives_copies)
{
        Secret *value = NULL;
        Report report = { 0 };

        fixture_store(store, arena, "a", "one", 0);
        ck_assert_int_eq(store->vtable->load(store, "a", &value, &report), 0);
        secret_set_size(value, 0);
        secret_free(value);
        fixture_expect(store, "a", "one");
}
END_TEST

START_TEST(items_stay_when_locked)
{
        UnlockHow how = { 0 };
        Report report = { 0 };
        Secret *key = NULL;

        fixture_store(store, arena, "a", "one", 0);
        store->vtable->lock(store);
        ck_assert_int_eq(store->vtable->unlock(store, &how, &key, &report), 0);
        ck_assert_ptr_null(key);
        fixture_expect(store, "a", "one");
}
END_TEST

START_TEST(is_limited)
{
        char name[16];

        for (int i = 0; i < 256; i++) {
                (void)snprintf(name, sizeof(name), "item-%d", i);
                fixture_store(store, arena, name, "x", 0);
        }
        fixture_store(store, arena, "one-more", "x", FAULT_BUSY);
        fixture_store(store, arena, "item-0", "y", 0);
        fixture_expect(store, "item-0", "y");
}
END_TEST

START_TEST(full_arena_is_busy_and_keeps_the_old)
{
        _cleanup_(secret_freep) Secret *value = fixture_secret(arena, "new");
        size_t left = FIXTURE_ARENA_SIZE;
        Report report = { 0 };
        void *hog, *holes[8];
        size_t n = 0;

        fixture_store(store, arena, "a", "old", 0);
        while (arena_alloc(arena, left, &hog) != 0)
                left -= 64;
        while (n < ARRAY_SIZE(holes) && arena_alloc(arena, 64, &holes[n]) == 0)
                n++;
        ck_assert_int_eq(store->vtable->store(store, "a", value, &report), FAULT_BUSY);
        arena_release(arena, hog, left);
        while (n > 0)
                arena_release(arena, holes[--n], 64);
        fixture_expect(store, "a", "old");
}
END_TEST

static void add_cases(Suite *suite)
{
        TCase *tcase = tcase_create("store-memory");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, keeps_replaces_removes);
        tcase_add_test(tcase, gives_copies);
        tcase_add_test(tcase, items_stay_when_locked);
        tcase_add_test(tcase, is_limited);
        tcase_add_test(tcase, full_arena_is_busy_and_keeps_the_old);
        suite_add_tcase(suite, tcase);
}

int main(void)
{
        return fixture_run("store-memory", add_cases);
}
