#undef NDEBUG
#include "supervisor/journal.h"
#include "base/fd.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static JournalRequest entry_of(TextPair *pairs, size_t n)
{
        return (JournalRequest){ .message = "token.mint: allow", .priority = 6, .fields = { pairs, n } };
}

START_TEST(each_field_has_its_line)
{
        TextPair pairs[] = { { "MESSAGE_ID", "00" }, { "MCPCRED_SESSION", "s1" } };
        JournalRequest entry = entry_of(pairs, 2);
        Buf buf = BUF_NULL(4096);

        ck_assert_int_eq(journal_format(&entry, &buf), 0);
        ck_assert_int_eq(buf_append_u8(&buf, 0), 0);
        ck_assert_str_eq((const char *)buf.data, "MESSAGE=token.mint: allow\nPRIORITY=6\nSYSLOG_IDENTIFIER=mcpcredd\n"
                                                 "MESSAGE_ID=00\nMCPCRED_SESSION=s1\n");
        buf_deinit(&buf);
}
END_TEST

/* A text cannot make a field: one with a newline goes by its length. */
START_TEST(newline_makes_no_field)
{
        TextPair pairs[] = { { "MCPCRED_DETAIL", "a\nPRIORITY=0" } };
        static const char wanted[] = "MCPCRED_DETAIL\n\x0c\0\0\0\0\0\0\0a\nPRIORITY=0\n";
        JournalRequest entry = entry_of(pairs, 1);
        Buf buf = BUF_NULL(4096);

        ck_assert_int_eq(journal_format(&entry, &buf), 0);
        ck_assert_uint_gt(buf.size, sizeof(wanted) - 1);
        ck_assert_mem_eq(buf.data + buf.size - (sizeof(wanted) - 1), wanted, sizeof(wanted) - 1);
        buf_deinit(&buf);
}
END_TEST

START_TEST(names_that_are_not_ours_are_left_out)
{
        TextPair pairs[] = { { "_UID", "0" }, { "PRIORITY", "0" }, { "MCPCRED_a", "1" }, { "MCPCRED_X=Y\nA", "1" } };
        JournalRequest entry = entry_of(pairs, 4);
        Buf buf = BUF_NULL(4096);

        ck_assert_int_eq(journal_format(&entry, &buf), 0);
        ck_assert_int_eq(buf_append_u8(&buf, 0), 0);
        ck_assert_str_eq((const char *)buf.data, "MESSAGE=token.mint: allow\nPRIORITY=6\nSYSLOG_IDENTIFIER=mcpcredd\n");
        buf_deinit(&buf);
}
END_TEST

/* None, one, one that reads nothing until it takes no more, and none again: no call waits. */
START_TEST(journal_that_is_absent_or_full_holds_up_nobody)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char directory[] = "/tmp/test-journal-XXXXXX";
        TextPair pairs[] = { { "MCPCRED_SESSION", "s1" } };
        JournalRequest entry = entry_of(pairs, 1);
        Journal journal = JOURNAL_NULL;
        char text[4096];
        unsigned sent = 0;
        int fd;

        ck_assert_ptr_nonnull(mkdtemp(directory));
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", directory);
        ck_assert_int_eq(journal_open(&journal, address.sun_path), 0);
        ck_assert(!journal_send(&journal, &entry));
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(fd, (const void *)&address, sizeof(address)), 0);
        while (journal_send(&journal, &entry))
                ck_assert_uint_lt(++sent, 100000);
        ck_assert_uint_gt(sent, 0);
        ck_assert_int_gt(recv(fd, text, sizeof(text), 0), 0);
        ck_assert_ptr_nonnull(memmem(text, sizeof(text), "MCPCRED_SESSION=s1\n", 19));
        ck_assert(journal_send(&journal, &entry));
        fd_close(fd);
        ck_assert(!journal_send(&journal, &entry));
        journal_close(&journal);
        ck_assert_int_eq(unlink(address.sun_path), 0);
        ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("journal");
        TCase *tests = tcase_create("all");
        SRunner *runner;
        int failed;

        suite_add_tcase(suite, tests);
        tcase_add_test(tests, each_field_has_its_line);
        tcase_add_test(tests, newline_makes_no_field);
        tcase_add_test(tests, names_that_are_not_ours_are_left_out);
        tcase_add_test(tests, journal_that_is_absent_or_full_holds_up_nobody);
        runner = srunner_create(suite);
        srunner_set_tap(runner, "-");
        srunner_run_all(runner, CK_SILENT);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? 1 : 0;
}
