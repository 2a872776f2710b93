#include "support.h"
#include "vault/rows_meta.h"
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>

START_TEST(files_are_private)
{
        char path[128];
        struct stat st;
        mode_t before = umask(0);
        Fixture f;

        fixture_start(&f);
        ck_assert_int_eq(rows_meta_set_u64(f.db, META_CREATED, 1), 0);
        ck_assert_int_eq(stat(fixture_path(&f, "state.db", path, sizeof(path)), &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0600);
        ck_assert_int_eq(stat(fixture_path(&f, "state.db-wal", path, sizeof(path)), &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0600);
        ck_assert_int_ne(stat(fixture_path(&f, "state.db-shm", path, sizeof(path)), &st), 0);
        fixture_stop(&f);
        (void)umask(before);
}
END_TEST

START_TEST(values_survive_and_are_typed)
{
        uint8_t bytes[4];
        uint64_t number;
        char text[16];
        Fixture f;

        fixture_start(&f);
        ck_assert_int_eq(rows_meta_get_text(f.db, META_EPOCH, text, sizeof(text)), DB_E_NOT_FOUND);
        ck_assert_int_eq(rows_meta_set_text(f.db, META_EPOCH, "one"), 0);
        ck_assert_int_eq(rows_meta_set_text(f.db, META_EPOCH, "two"), 0);
        ck_assert_int_eq(rows_meta_set_u64(f.db, META_CREATED, UINT64_MAX), 0);
        ck_assert_int_eq(rows_meta_set_u64(f.db, META_CREATED, UINT64_MAX - 1), -ERANGE);
        ck_assert_int_eq(rows_meta_set_bytes(f.db, META_AUDIT_HEAD, slice("abcd", 4)), 0);
        fixture_close(&f);
        fixture_open(&f);
        ck_assert_int_eq(rows_meta_get_text(f.db, META_EPOCH, text, sizeof(text)), 0);
        ck_assert_str_eq(text, "two");
        ck_assert_int_eq(rows_meta_get_text(f.db, META_EPOCH, text, 3), DB_E_DAMAGED);
        ck_assert_int_eq(rows_meta_get_u64(f.db, META_CREATED, &number), 0);
        ck_assert_uint_eq(number, UINT64_MAX);
        ck_assert_int_eq(rows_meta_get_bytes(f.db, META_AUDIT_HEAD, bytes, 4), 0);
        ck_assert_mem_eq(bytes, "abcd", 4);
        ck_assert_int_eq(rows_meta_get_bytes(f.db, META_AUDIT_HEAD, bytes, 3), DB_E_DAMAGED);
        ck_assert_int_eq(rows_meta_unset(f.db, META_EPOCH), 0);
        ck_assert_int_eq(rows_meta_get_text(f.db, META_EPOCH, text, sizeof(text)), DB_E_NOT_FOUND);
        fixture_stop(&f);
}
END_TEST

/* Returns early, as a caller would after a failure. */
static void set_and_leave(Db *db)
{
        _cleanup_(db_rollbackp) Db *open = db;

        ck_assert_int_eq(db_begin(db), 0);
        ck_assert_int_eq(rows_meta_set_u64(open, META_CREATED, 2), 0);
}

START_TEST(transactions_are_whole)
{
        uint64_t number;
        Fixture f;

        fixture_start(&f);
        ck_assert(!db_in_transaction(f.db));
        ck_assert_int_eq(db_begin(f.db), 0);
        ck_assert_int_eq(db_begin(f.db), -EALREADY);
        ck_assert_int_eq(rows_meta_set_u64(f.db, META_CREATED, 1), 0);
        ck_assert_int_eq(db_commit(f.db), 0);
        ck_assert_int_lt(db_commit(f.db), 0);
        set_and_leave(f.db);
        ck_assert(!db_in_transaction(f.db));
        db_rollback(f.db);
        ck_assert_int_eq(rows_meta_get_u64(f.db, META_CREATED, &number), 0);
        ck_assert_uint_eq(number, 1);
        fixture_stop(&f);
}
END_TEST

START_TEST(second_process_is_refused)
{
        int status;
        pid_t pid;
        Fixture f;

        fixture_start(&f);
        pid = fork();
        if (pid == 0) {
                Db *db = NULL;

                _exit(db_open(&db, f.directory) == DB_E_IN_USE ? 0 : 1);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        fixture_stop(&f);
}
END_TEST

static int open_and_close(const Fixture *f)
{
        Db *db = NULL;
        int r = db_open(&db, f->directory);

        db_free(db);
        return r;
}

static void change(const Fixture *f, const char *sql)
{
        char path[128];
        sqlite3 *sqlite;

        ck_assert_int_eq(sqlite3_open(fixture_path(f, "state.db", path, sizeof(path)), &sqlite),
                         SQLITE_OK);
        ck_assert_int_eq(sqlite3_exec(sqlite, sql, NULL, NULL, NULL), SQLITE_OK);
        ck_assert_int_eq(sqlite3_close(sqlite), SQLITE_OK);
}

START_TEST(strange_files_are_refused)
{
        char path[128], target[128];
        Fixture f;

        fixture_start(&f);
        fixture_close(&f);
        change(&f, "PRAGMA user_version = 9999");
        ck_assert_int_eq(open_and_close(&f), DB_E_NEWER);
        change(&f, "PRAGMA user_version = 0");
        ck_assert_int_eq(open_and_close(&f), DB_E_DAMAGED);
        change(&f, "PRAGMA user_version = 1; PRAGMA application_id = 7");
        ck_assert_int_eq(open_and_close(&f), DB_E_DAMAGED);
        write_file(fixture_path(&f, "state.db", path, sizeof(path)),
                   slice_text("this is no database, is it?"));
        ck_assert_int_eq(open_and_close(&f), DB_E_DAMAGED);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(symlink(fixture_path(&f, "elsewhere", target, sizeof(target)), path), 0);
        ck_assert_int_eq(open_and_close(&f), DB_E_IO);
        ck_assert_int_ne(access(target, F_OK), 0);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(mkdir(path, 0700), 0);
        ck_assert_int_eq(open_and_close(&f), DB_E_IO);
        fixture_remove_directory(&f);
        ck_assert_int_eq(open_and_close(&f), DB_E_IO);
}
END_TEST

/* Whatever a byte becomes, opening and reading end in an answer. */
START_TEST(damaged_pages_are_noticed)
{
        _cleanup_(buf_deinit) Buf bytes = BUF_NULL(8U * 1024U * 1024U);
        size_t refused = 0;
        char path[128], text[64];
        Fixture f;

        fixture_start(&f);
        ck_assert_int_eq(rows_meta_set_text(f.db, META_EPOCH, "epoch"), 0);
        fixture_close(&f);
        read_file(fixture_path(&f, "state.db", path, sizeof(path)), &bytes);
        for (size_t at = 0; at < bytes.size; at += 331) {
                Db *db = NULL;
                int r;

                bytes.data[at] ^= 0x5a;
                write_file(path, buf_slice(&bytes));
                r = db_open(&db, f.directory);
                if (r == 0)
                        r = rows_meta_get_text(db, META_EPOCH, text, sizeof(text));
                ck_assert_msg(r >= 0, "byte %zu: %d", at, r);
                refused += r > 0;
                db_free(db);
                bytes.data[at] ^= 0x5a;
        }
        ck_assert_uint_gt(refused, 0);
        fixture_remove_directory(&f);
}
END_TEST

/* A file size limit stands in for the full disk. */
START_TEST(full_disk_has_its_own_code)
{
        struct rlimit limit;
        uint64_t number;
        char text[META_TEXT_MAX + 1];
        int r = 0;
        Fixture f;

        fixture_start(&f);
        memset(text, 'x', META_TEXT_MAX);
        text[META_TEXT_MAX] = '\0';
        ck_assert_int_eq(rows_meta_set_u64(f.db, META_CREATED, 7), 0);
        (void)signal(SIGXFSZ, SIG_IGN);
        ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
        limit.rlim_cur = 256U * 1024U;
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        for (unsigned i = 0; i < 200 && r == 0; i++) {
                char key[16];

                (void)snprintf(key, sizeof(key), "key-%u", i);
                r = db_begin(f.db);
                if (r == 0)
                        r = rows_meta_set_text(f.db, key, text);
                r = r ? r : db_commit(f.db);
        }
        ck_assert_int_eq(r, DB_E_FULL);
        db_rollback(f.db);
        ck_assert(!db_in_transaction(f.db));
        /* What was there still is, and with room it goes on. */
        ck_assert_int_eq(rows_meta_get_u64(f.db, META_CREATED, &number), 0);
        limit.rlim_cur = limit.rlim_max;
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        ck_assert_int_eq(rows_meta_set_u64(f.db, META_CREATED, 8), 0);
        fixture_close(&f);
        fixture_open(&f);
        ck_assert_int_eq(rows_meta_get_u64(f.db, META_CREATED, &number), 0);
        ck_assert_uint_eq(number, 8);
        fixture_stop(&f);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("db");
        TCase *tests = tcase_create("db");

        tcase_set_timeout(tests, 60);
        tcase_add_test(tests, files_are_private);
        tcase_add_test(tests, values_survive_and_are_typed);
        tcase_add_test(tests, transactions_are_whole);
        tcase_add_test(tests, second_process_is_refused);
        tcase_add_test(tests, strange_files_are_refused);
        tcase_add_test(tests, damaged_pages_are_noticed);
        tcase_add_test(tests, full_disk_has_its_own_code);
        suite_add_tcase(suite, tests);
        return run_suite(suite);
}
