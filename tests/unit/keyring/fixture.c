#include "fixture.h"
#include <sodium.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

Arena *fixture_arena(void)
{
        Arena *arena = NULL;

        ck_assert_int_ge(sodium_init(), 0);
        ck_assert_int_eq(arena_new(&arena, FIXTURE_ARENA_SIZE), 0);
        return arena;
}

char *fixture_directory(void)
{
        char template[] = "/tmp/mcpcred-test-XXXXXX";

        ck_assert_ptr_nonnull(mkdtemp(template));
        return strdup(template);
}

char *fixture_path(const char *directory, const char *name)
{
        char *path = NULL;

        ck_assert_int_gt(asprintf(&path, "%s/%s", directory, name), 0);
        return path;
}

void fixture_remove(char *directory)
{
        DIR *dir = opendir(directory);
        struct dirent *entry;

        while (dir && (entry = readdir(dir))) {
                if (unlinkat(dirfd(dir), entry->d_name, 0) < 0)
                        (void)unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
        }
        if (dir)
                closedir(dir);
        (void)rmdir(directory);
        free(directory);
}

Secret *fixture_secret(Arena *arena, const char *text)
{
        Secret *secret = NULL;

        ck_assert_int_eq(secret_from_bytes(&secret, arena, slice_text(text)), 0);
        return secret;
}

void fixture_store(Store *store, Arena *arena, const char *name, const char *text, int expected)
{
        _cleanup_(secret_freep) Secret *value = fixture_secret(arena, text);
        Report report = { 0 };

        ck_assert_int_eq(store->vtable->store(store, name, value, &report), expected);
}

void fixture_expect(Store *store, const char *name, const char *text)
{
        _cleanup_(secret_freep) Secret *value = NULL;
        Report report = { 0 };

        ck_assert_int_eq(store->vtable->load(store, name, &value, &report), 0);
        if (text)
                ck_assert(value && secret_equal(value, slice_text(text)));
        else
                ck_assert_ptr_null(value);
}

int fixture_run(const char *name, void (*add_cases)(Suite *suite))
{
        Suite *suite = suite_create(name);
        SRunner *runner;
        int failed;

        add_cases(suite);
        runner = srunner_create(suite);
        srunner_set_tap(runner, "-");
        srunner_run_all(runner, CK_SILENT);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? 1 : 0;
}
