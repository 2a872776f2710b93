#include "fixture.h"
#include "base/fd.h"
#include "keyring/sealed_format.h"
#include "keyring/store_sealed_file.h"
#include <sodium.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PASSPHRASE "correct horse"
#define NEEDLE "needle-in-the-file"
#define FILE_MAX 65536

static Arena *arena;
static Store *store;
static char *directory;
static char *file;

/* ---- system calls that fail or never return ---- */

static int step;      /* counts fsync() and renameat2() */
static int crash_at;  /* the process ends instead of the call of this number */
static int fail_at;   /* the call of this number fails */

static bool interrupted(void)
{
        step++;
        if (step == crash_at)
                _exit(9);
        errno = EIO;
        return step == fail_at;
}

/* In place of the C library's, since the executable's come first. */
int fsync(int fd)
{
        return interrupted() ? -1 : (int)syscall(SYS_fsync, fd);
}

int renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags)
{
        return interrupted() ? -1 : (int)syscall(SYS_renameat2, from_directory, from, to_directory, to, flags);
}

/* ---- helpers ---- */

static Store *new_store(Arena *in, const char *credentials)
{
        /* The least that Argon2id takes, so that the sweeps are fast. */
        SealedFileConfig config = {
                .arena = in,
                .directory = directory,
                .credentials = credentials,
                .operations = crypto_pwhash_OPSLIMIT_MIN,
                .memory = crypto_pwhash_MEMLIMIT_MIN,
        };
        Store *made = NULL;

        ck_assert_int_eq(store_sealed_file_new(&made, &config), 0);
        return made;
}

static int unlock_in(Store *which, Arena *in, const char *passphrase, bool create, Secret **ret_key)
{
        _cleanup_(secret_freep) Secret *secret = passphrase ? fixture_secret(in, passphrase) : NULL;
        _cleanup_(secret_freep) Secret *key = NULL;
        UnlockHow how = { .passphrase = secret, .create = create };
        Report report = { 0 };
        int r = which->vtable->unlock(which, &how, &key, &report);

        ck_assert(r == 0 ? key != NULL : key == NULL);
        if (r == 0)
                ck_assert_uint_eq(secret_size(key), SEALED_KEY_SIZE);
        if (ret_key)
                *ret_key = take_ptr(key);
        return r;
}

static int unlock(Store *which, const char *passphrase, bool create)
{
        return unlock_in(which, arena, passphrase, create, NULL);
}

static int unlock_key(Store *which, const Secret *key)
{
        _cleanup_(secret_freep) Secret *again = NULL;
        UnlockHow how = { .key = key };
        Report report = { 0 };

        return which->vtable->unlock(which, &how, &again, &report);
}

static int open_store(Store *which)
{
        Report report = { 0 };

        return which->vtable->open(which, &report);
}

static void reopen(void)
{
        store_free(store);
        store = new_store(arena, NULL);
}

static size_t read_bytes(uint8_t *bytes)
{
        FILE *stream = fopen(file, "rb");
        size_t size;

        ck_assert_ptr_nonnull(stream);
        size = fread(bytes, 1, FILE_MAX, stream);
        fclose(stream);
        return size;
}

static void write_bytes(const char *path, const uint8_t *bytes, size_t size)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(fd_write_all(fd, bytes, size), 0);
        close(fd);
}

static bool exists(const char *name)
{
        _cleanup_(freep) char *path = fixture_path(directory, name);

        return access(path, F_OK) == 0;
}

static void setup(void)
{
        arena = fixture_arena();
        directory = fixture_directory();
        file = fixture_path(directory, SEALED_FILE_NAME);
        store = new_store(arena, NULL);
}

static void setup_filled(void)
{
        setup();
        ck_assert_int_eq(unlock(store, PASSPHRASE, true), 0);
        fixture_store(store, arena, "a", NEEDLE, 0);
        fixture_store(store, arena, KEYRING_ROOT_ITEM, "root", 0);
}

static void teardown(void)
{
        store = store_free(store);
        ck_assert_uint_eq(arena_used(arena), 0);
        arena = arena_free(arena);
        fixture_remove(directory);
        free(file);
}

/* ---- the ordinary way ---- */

START_TEST(begins_absent)
{
        ck_assert_int_eq(open_store(store), FAULT_KEYRING_ABSENT);
        ck_assert_int_eq(unlock(store, PASSPHRASE, false), FAULT_KEYRING_ABSENT);
        ck_assert(!store_sealed_file_exists(directory));
        ck_assert_int_eq(unlock(store, NULL, true), FAULT_KEYRING_LOCKED);
        ck_assert_int_eq(unlock(store, "", true), FAULT_KEYRING_LOCKED);
        ck_assert(!store_sealed_file_exists(directory));
}
END_TEST

START_TEST(keeps_replaces_removes)
{
        Report report = { 0 };
        struct stat st;

        fixture_expect(store, "a", NEEDLE);
        fixture_store(store, arena, "a", "two", 0);
        fixture_store(store, arena, "empty", "", 0);
        reopen();
        ck_assert_int_eq(open_store(store), FAULT_KEYRING_LOCKED);
        ck_assert_int_eq(unlock(store, PASSPHRASE, false), 0);
        ck_assert_int_eq(open_store(store), 0);
        fixture_expect(store, "a", "two");
        fixture_expect(store, "empty", "");
        fixture_expect(store, KEYRING_ROOT_ITEM, "root");
        ck_assert_int_eq(store->vtable->remove(store, "a", &report), 0);
        ck_assert_int_eq(store->vtable->remove(store, "a", &report), 0);
        fixture_expect(store, "a", NULL);
        fixture_expect(store, "empty", "");
        ck_assert_int_eq(stat(file, &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0600);
        ck_assert(!exists(SEALED_FILE_NAME ".new"));
}
END_TEST

START_TEST(locked_gives_nothing)
{
        Report report = { 0 };
        Secret *value = NULL;

        store->vtable->lock(store);
        ck_assert_int_eq(store->vtable->load(store, "a", &value, &report), FAULT_KEYRING_LOCKED);
        fixture_store(store, arena, "a", "x", FAULT_KEYRING_LOCKED);
        ck_assert_int_eq(store->vtable->remove(store, "a", &report), FAULT_KEYRING_LOCKED);
        ck_assert_int_eq(unlock(store, "wrong", false), FAULT_WRONG_PASSPHRASE);
        ck_assert_int_eq(open_store(store), FAULT_KEYRING_LOCKED);
        ck_assert_int_eq(unlock(store, PASSPHRASE, false), 0);
        fixture_expect(store, "a", NEEDLE);
}
END_TEST

START_TEST(wrong_passphrase_leaves_it_unlocked)
{
        ck_assert_int_eq(unlock(store, "wrong", false), FAULT_WRONG_PASSPHRASE);
        fixture_expect(store, "a", NEEDLE);
}
END_TEST

START_TEST(key_opens_again)
{
        _cleanup_(secret_freep) Secret *key = NULL, *other = NULL, *shorter = NULL;

        ck_assert_int_eq(unlock_in(store, arena, PASSPHRASE, false, &key), 0);
        reopen();
        ck_assert_int_eq(unlock_key(store, key), 0);
        fixture_expect(store, "a", NEEDLE);
        reopen();
        other = fixture_secret(arena, "0123456789abcdef0123456789abcdef");
        shorter = fixture_secret(arena, "short");
        ck_assert_int_eq(unlock_key(store, other), FAULT_WRONG_PASSPHRASE);
        ck_assert_int_eq(unlock_key(store, shorter), FAULT_INVALID_PARAMETER);
}
END_TEST

START_TEST(create_never_overwrites)
{
        uint8_t before[FILE_MAX], after[FILE_MAX];
        size_t size = read_bytes(before);

        reopen();
        ck_assert_int_eq(unlock(store, "another", true), FAULT_EXISTS);
        ck_assert_uint_eq(read_bytes(after), size);
        ck_assert_mem_eq(before, after, size);
        /* Not what is no file of ours either. */
        ck_assert_int_eq(unlink(file), 0);
        ck_assert_int_eq(symlink("/nonexistent", file), 0);
        ck_assert_int_eq(unlock(store, "another", true), FAULT_EXISTS);
}
END_TEST

START_TEST(file_shows_nothing)
{
        uint8_t bytes[FILE_MAX];
        size_t size = read_bytes(bytes);

        ck_assert_ptr_null(memmem(bytes, size, NEEDLE, strlen(NEEDLE)));
        ck_assert_ptr_null(memmem(bytes, size, KEYRING_ROOT_ITEM, strlen(KEYRING_ROOT_ITEM)));
}
END_TEST

START_TEST(generation_and_nonce_move)
{
        SealedHeader first, second;
        uint8_t bytes[FILE_MAX];

        ck_assert_int_eq(sealed_parse(&first, slice(bytes, read_bytes(bytes))), 0);
        fixture_store(store, arena, "a", NEEDLE, 0);
        ck_assert_int_eq(sealed_parse(&second, slice(bytes, read_bytes(bytes))), 0);
        ck_assert_uint_eq(second.generation, first.generation + 1);
        ck_assert_mem_ne(first.nonce, second.nonce, sizeof(first.nonce));
        ck_assert_mem_eq(first.salt, second.salt, sizeof(first.salt));
}
END_TEST

START_TEST(older_copy_is_a_rollback)
{
        uint8_t bytes[FILE_MAX];
        size_t size = read_bytes(bytes);
        Report report = { 0 };
        Secret *value = NULL;

        fixture_store(store, arena, "a", "newer", 0);
        write_bytes(file, bytes, size);
        ck_assert_int_eq(store->vtable->load(store, "a", &value, &report), FAULT_ROLLBACK);
        fixture_store(store, arena, "a", "x", FAULT_ROLLBACK);
        ck_assert_int_eq(unlock(store, PASSPHRASE, false), FAULT_ROLLBACK);
}
END_TEST

START_TEST(is_limited)
{
        static char big[SECRET_MAX + 1];
        char name[32];
        int n = 0, r = 0;
        Report report = { 0 };

        memset(big, 'x', SECRET_MAX);
        for (; r == 0 && n < 64; n++) {
                _cleanup_(secret_freep) Secret *value = fixture_secret(arena, big);

                (void)snprintf(name, sizeof(name), "big-%d", n);
                r = store->vtable->store(store, name, value, &report);
        }
        ck_assert_int_eq(r, FAULT_BUSY);
        ck_assert_int_ge(n, 15);
        fixture_expect(store, "a", NEEDLE);
        fixture_expect(store, "big-0", big);
        for (int i = 0; i < n; i++) {
                (void)snprintf(name, sizeof(name), "big-%d", i);
                ck_assert_int_eq(store->vtable->remove(store, name, &report), 0);
        }
        for (unsigned i = 2; i < SEALED_ITEMS_MAX; i++) {
                (void)snprintf(name, sizeof(name), "a-name-of-some-length-%u", i);
                fixture_store(store, arena, name, "x", 0);
        }
        fixture_store(store, arena, "one-more", "x", FAULT_BUSY);
        fixture_store(store, arena, "a", "y", 0);
        fixture_expect(store, "a", "y");
}
END_TEST

/* ---- damage ---- */

static void expect_refused(const Secret *key)
{
        int r = unlock_key(store, key);

        ck_assert_msg(r == FAULT_STORE_DAMAGED || r == FAULT_WRONG_PASSPHRASE, "with the key: %d", r);
        r = unlock(store, PASSPHRASE, false);
        ck_assert_msg(r == FAULT_STORE_DAMAGED || r == FAULT_WRONG_PASSPHRASE, "with the passphrase: %d", r);
}

START_TEST(every_truncation_is_refused)
{
        _cleanup_(secret_freep) Secret *key = NULL;
        uint8_t bytes[FILE_MAX];
        size_t size = read_bytes(bytes);

        ck_assert_int_eq(unlock_in(store, arena, PASSPHRASE, false, &key), 0);
        reopen();
        for (size_t i = 0; i < size; i++) {
                write_bytes(file, bytes, i);
                expect_refused(key);
        }
        bytes[size] = 0;
        write_bytes(file, bytes, size + 1);
        expect_refused(key);
        write_bytes(file, bytes, size);
        ck_assert_int_eq(unlock_key(store, key), 0);
}
END_TEST

START_TEST(every_flipped_bit_is_refused)
{
        _cleanup_(secret_freep) Secret *key = NULL;
        uint8_t bytes[FILE_MAX];
        size_t size = read_bytes(bytes);

        ck_assert_int_eq(unlock_in(store, arena, PASSPHRASE, false, &key), 0);
        reopen();
        for (size_t i = 0; i < size * 8; i++) {
                bytes[i / 8] ^= (uint8_t)(1 << (i % 8));
                write_bytes(file, bytes, size);
                expect_refused(key);
                bytes[i / 8] ^= (uint8_t)(1 << (i % 8));
        }
        write_bytes(file, bytes, size);
        ck_assert_int_eq(unlock(store, PASSPHRASE, false), 0);
        fixture_expect(store, "a", NEEDLE);
}
END_TEST

/* Makes the plain hash of the header right again, as somebody who means it would. */
static void rehash(uint8_t *bytes)
{
        (void)crypto_generichash(bytes + 96, 16, bytes, 96, NULL, 0);
}

START_TEST(every_forged_header_bit_is_refused)
{
        _cleanup_(secret_freep) Secret *key = NULL;
        uint8_t bytes[FILE_MAX];
        size_t size = read_bytes(bytes);

        ck_assert_int_eq(unlock_in(store, arena, PASSPHRASE, false, &key), 0);
        reopen();
        for (size_t i = 0; i < 96 * 8; i++) {
                int r;

                bytes[i / 8] ^= (uint8_t)(1 << (i % 8));
                rehash(bytes);
                write_bytes(file, bytes, size);
                r = unlock_key(store, key);
                ck_assert(r == FAULT_STORE_DAMAGED || r == FAULT_WRONG_PASSPHRASE ||
                          (r == FAULT_UNSUPPORTED && i / 8 >= 8 && i / 8 < 12));
                bytes[i / 8] ^= (uint8_t)(1 << (i % 8));
        }
}
END_TEST

START_TEST(costs_are_bounded)
{
        static const struct {
                size_t offset;
                uint64_t value;
        } forged[] = {
                { 16, SEALED_OPERATIONS_MAX + 1 }, { 16, 0 }, { 16, UINT64_MAX },
                { 24, SEALED_MEMORY_MAX + 1 },     { 24, 0 }, { 24, UINT64_MAX },
        };
        uint8_t bytes[FILE_MAX], altered[FILE_MAX];
        size_t size = read_bytes(bytes);

        for (size_t i = 0; i < ARRAY_SIZE(forged); i++) {
                memcpy(altered, bytes, size);
                for (size_t k = 0; k < 8; k++)
                        altered[forged[i].offset + k] = (uint8_t)(forged[i].value >> (8 * k));
                rehash(altered);
                write_bytes(file, altered, size);
                ck_assert_int_eq(unlock(store, PASSPHRASE, false), FAULT_STORE_DAMAGED);
        }
}
END_TEST

START_TEST(too_large_is_damaged)
{
        ck_assert_int_eq(truncate(file, (off_t)SEALED_FILE_MAX + 1), 0);
        ck_assert_int_eq(unlock(store, PASSPHRASE, false), FAULT_STORE_DAMAGED);
        ck_assert_int_eq(truncate(file, (off_t)SEALED_FILE_MAX * 64), 0);
        ck_assert_int_eq(unlock(store, PASSPHRASE, false), FAULT_STORE_DAMAGED);
}
END_TEST

/* ---- a file that is not ours ---- */

START_TEST(other_modes_are_refused)
{
        static const mode_t modes[] = { 0640, 0604, 0660, 0666, 0700, 04600, 0601 };

        for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
                ck_assert_int_eq(chmod(file, modes[i]), 0);
                ck_assert_int_eq(unlock(store, PASSPHRASE, false), FAULT_KEYRING_FAILED);
                ck_assert_int_eq(open_store(store), FAULT_KEYRING_FAILED);
                fixture_store(store, arena, "a", "x", FAULT_KEYRING_FAILED);
        }
        ck_assert_int_eq(chmod(file, 0600), 0);
        fixture_expect(store, "a", NEEDLE);
}
END_TEST

START_TEST(symlink_is_refused)
{
        _cleanup_(freep) char *other = fixture_path(directory, "other");

        ck_assert_int_eq(rename(file, other), 0);
        ck_assert_int_eq(symlink("other", file), 0);
        ck_assert_int_eq(unlock(store, PASSPHRASE, false), FAULT_KEYRING_FAILED);
        ck_assert_int_eq(open_store(store), FAULT_KEYRING_FAILED);
}
END_TEST

START_TEST(fifo_and_directory_are_refused)
{
        ck_assert_int_eq(unlink(file), 0);
        ck_assert_int_eq(mkfifo(file, 0600), 0);
        ck_assert_int_eq(open_store(store), FAULT_KEYRING_FAILED);
        ck_assert_int_eq(unlink(file), 0);
        ck_assert_int_eq(mkdir(file, 0700), 0);
        ck_assert_int_eq(open_store(store), FAULT_KEYRING_FAILED);
}
END_TEST

START_TEST(other_owner_is_refused)
{
        /* Only root can make such a file; anybody else is spared the question by chown(). */
        if (geteuid() == 0) {
                ck_assert_int_eq(chown(file, 65534, 65534), 0);
                ck_assert_int_eq(unlock(store, PASSPHRASE, false), FAULT_KEYRING_FAILED);
        }
}
END_TEST

START_TEST(temporary_symlink_is_not_followed)
{
        _cleanup_(freep) char *temporary = fixture_path(directory, SEALED_FILE_NAME ".new");
        _cleanup_(freep) char *victim = fixture_path(directory, "victim");
        struct stat st;

        write_bytes(victim, (const uint8_t *)"keep", 4);
        ck_assert_int_eq(symlink("victim", temporary), 0);
        fixture_store(store, arena, "a", "x", 0);
        ck_assert_int_eq(stat(victim, &st), 0);
        ck_assert_int_eq(st.st_size, 4);
        fixture_expect(store, "a", "x");
}
END_TEST

/* ---- crashes and failures, at each sync and rename of a write ---- */

static _Noreturn void crash_child(bool create, int at)
{
        Arena *own = NULL;
        Store *mine;

        /* The parent's arena is not there in a child, which is as it should be. */
        if (arena_new(&own, FIXTURE_ARENA_SIZE) != 0)
                _exit(1);
        mine = new_store(own, NULL);
        if (!create && unlock_in(mine, own, PASSPHRASE, false, NULL) != 0)
                _exit(2);
        step = 0;
        crash_at = at;
        if (create)
                (void)unlock_in(mine, own, PASSPHRASE, true, NULL);
        else
                fixture_store(mine, own, "a", "after", 0);
        _exit(0);
}

static bool crashes(bool create, int at)
{
        pid_t pid = fork();
        int status;

        if (pid == 0)
                crash_child(create, at);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status) && (WEXITSTATUS(status) == 9 || WEXITSTATUS(status) == 0));
        return WEXITSTATUS(status) == 9;
}

START_TEST(crash_leaves_old_or_new)
{
        int at = 1;

        for (; crashes(false, at); at++) {
                _cleanup_(secret_freep) Secret *value = NULL;
                Report report = { 0 };

                reopen();
                ck_assert_int_eq(unlock(store, PASSPHRASE, false), 0);
                ck_assert_int_eq(store->vtable->load(store, "a", &value, &report), 0);
                /* Before the rename it is the old one, with the temporary file left over. */
                ck_assert(secret_equal(value, slice_text(at <= 2 ? NEEDLE : "after")));
                ck_assert(exists(SEALED_FILE_NAME ".new") == (at <= 2));
                fixture_expect(store, KEYRING_ROOT_ITEM, "root");
                fixture_store(store, arena, "a", NEEDLE, 0);
                ck_assert(!exists(SEALED_FILE_NAME ".new"));
        }
        ck_assert_int_eq(at, 4);
}
END_TEST

START_TEST(crash_while_creating_leaves_none_or_whole)
{
        int at = 1;

        for (; crashes(true, at); at++) {
                reopen();
                if (at <= 2)
                        ck_assert_int_eq(unlock(store, PASSPHRASE, true), 0);
                else
                        ck_assert_int_eq(unlock(store, PASSPHRASE, false), 0);
                fixture_expect(store, "a", NULL);
                ck_assert_int_eq(unlink(file), 0);
        }
        ck_assert_int_eq(at, 4);
}
END_TEST

START_TEST(failure_is_told_and_keeps_the_old)
{
        for (int at = 1; at <= 2; at++) {
                step = 0;
                fail_at = at;
                fixture_store(store, arena, "a", "x", -EIO);
                fail_at = 0;
                ck_assert(!exists(SEALED_FILE_NAME ".new"));
                fixture_expect(store, "a", NEEDLE);
        }
        /* The directory's sync: the name may have been taken, and the caller must not rely on it. */
        step = 0;
        fail_at = 3;
        fixture_store(store, arena, "a", "x", -EIO);
        fail_at = 0;
        fixture_store(store, arena, "a", "y", 0);
        fixture_expect(store, "a", "y");
}
END_TEST

/* ---- a delivered credential ---- */

START_TEST(credential_opens)
{
        _cleanup_(freep) char *path = fixture_path(directory, SEALED_CREDENTIAL_NAME);
        uint8_t key[32];

        randombytes_buf(key, sizeof(key));
        write_bytes(path, key, sizeof(key));
        store_free(store);
        store = new_store(arena, directory);
        ck_assert_int_eq(open_store(store), FAULT_KEYRING_ABSENT);
        ck_assert_int_eq(unlock(store, NULL, true), 0);
        fixture_store(store, arena, "a", "one", 0);
        store_free(store);
        store = new_store(arena, directory);
        ck_assert_int_eq(open_store(store), 0);
        fixture_expect(store, "a", "one");
        ck_assert_int_eq(unlock(store, PASSPHRASE, false), FAULT_INVALID_PARAMETER);
        store->vtable->lock(store);
        ck_assert_int_eq(unlock(store, NULL, false), 0);
        fixture_expect(store, "a", "one");
        /* Elsewhere, or with another key, it stays shut. */
        reopen();
        ck_assert_int_eq(open_store(store), FAULT_KEYRING_LOCKED);
        store_free(store);
        store = new_store(arena, directory);
        key[0] ^= 1;
        write_bytes(path, key, sizeof(key));
        ck_assert_int_eq(open_store(store), FAULT_WRONG_PASSPHRASE);
        write_bytes(path, key, 31);
        ck_assert_int_eq(open_store(store), FAULT_CONFIG_INVALID);
        ck_assert_int_eq(truncate(path, 4097), 0);
        ck_assert_int_eq(open_store(store), FAULT_CONFIG_INVALID);
}
END_TEST

START_TEST(passphrase_wins_over_credential_at_create)
{
        _cleanup_(freep) char *path = fixture_path(directory, SEALED_CREDENTIAL_NAME);

        write_bytes(path, (const uint8_t *)"0123456789abcdef0123456789abcdef", 32);
        store_free(store);
        store = new_store(arena, directory);
        ck_assert_int_eq(unlock(store, PASSPHRASE, true), 0);
        store_free(store);
        store = new_store(arena, directory);
        ck_assert_int_eq(open_store(store), FAULT_KEYRING_LOCKED);
        ck_assert_int_eq(unlock(store, PASSPHRASE, false), 0);
}
END_TEST

static void add_cases(Suite *suite)
{
        const TTest *const empty_tests[] = {
                begins_absent, crash_while_creating_leaves_none_or_whole, credential_opens,
                passphrase_wins_over_credential_at_create,
        };
        const TTest *const filled_tests[] = {
                keeps_replaces_removes, locked_gives_nothing, wrong_passphrase_leaves_it_unlocked, key_opens_again,
                create_never_overwrites, file_shows_nothing, generation_and_nonce_move, older_copy_is_a_rollback,
                is_limited, every_truncation_is_refused, every_flipped_bit_is_refused,
                every_forged_header_bit_is_refused, costs_are_bounded, too_large_is_damaged,
                other_modes_are_refused, symlink_is_refused, fifo_and_directory_are_refused,
                other_owner_is_refused, temporary_symlink_is_not_followed, crash_leaves_old_or_new,
                failure_is_told_and_keeps_the_old,
        };
        TCase *empty = tcase_create("without a file"), *filled = tcase_create("with a file");

        tcase_add_checked_fixture(empty, setup, teardown);
        for (size_t i = 0; i < ARRAY_SIZE(empty_tests); i++)
                tcase_add_test(empty, empty_tests[i]);
        tcase_add_checked_fixture(filled, setup_filled, teardown);
        tcase_set_timeout(filled, 60);
        for (size_t i = 0; i < ARRAY_SIZE(filled_tests); i++)
                tcase_add_test(filled, filled_tests[i]);
        suite_add_tcase(suite, empty);
        suite_add_tcase(suite, filled);
}

int main(void)
{
        return fixture_run("sealed-file", add_cases);
}
