#include "client.h"
#include <check.h>

START_TEST(test_getters_by_kind)
{
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(65536);
        const char *hosts[] = { "a", "b" };
        TextPair parameters[] = { { "k", "v" } };
        const SecretRow body = { .name = "n",
                                 .provider = "p",
                                 .hosts = { hosts, 2 },
                                 .parameters = { parameters, 1 },
                                 .generation = 7,
                                 .added = 9 };
        const mcpcred_row row = { &schema_secret_row, &body, &pool };

        ck_assert_str_eq(mcpcred_row_text(&row, "name"), "n");
        ck_assert_ptr_null(mcpcred_row_text(&row, "base_url"));
        ck_assert_ptr_null(mcpcred_row_text(&row, "generation"));
        ck_assert_uint_eq(mcpcred_row_number(&row, "generation"), 7);
        ck_assert_uint_eq(mcpcred_row_time(&row, "added"), 9);
        ck_assert_uint_eq(mcpcred_row_number(&row, "added"), 0);
        ck_assert_uint_eq(mcpcred_row_count(&row, "hosts"), 2);
        ck_assert_str_eq(mcpcred_row_item(&row, "hosts", 1), "b");
        ck_assert_ptr_null(mcpcred_row_item(&row, "hosts", 2));
        ck_assert_str_eq(mcpcred_row_key(&row, "parameters", 0), "k");
        ck_assert_str_eq(mcpcred_row_item(&row, "parameters", 0), "v");
        ck_assert_ptr_null(mcpcred_row_text(&row, "no such field"));
        ck_assert_ptr_null(mcpcred_row_text(NULL, "name"));
        ck_assert_uint_eq(mcpcred_row_count(NULL, "name"), 0);
}
END_TEST

START_TEST(test_nested_records)
{
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(65536);
        const char *repositories[] = { "o/n" };
        Scope scope = { .repositories = { repositories, 1 } };
        const ProfileRow body = {
                .name = "p", .secret = "s", .scope = &scope, .source = "f:1", .deliver = DELIVER_ENV
        };
        const mcpcred_row row = { &schema_profile_row, &body, &pool };
        const mcpcred_row *nested = mcpcred_row_record(&row, "scope", 0);

        ck_assert_str_eq(mcpcred_row_text(&row, "deliver"), "env");
        ck_assert_ptr_nonnull(nested);
        ck_assert_str_eq(mcpcred_row_item(nested, "repositories", 0), "o/n");
        ck_assert_ptr_null(mcpcred_row_record(&row, "scope", 1));
        ck_assert_ptr_null(mcpcred_row_record(&row, "name", 0));
}
END_TEST

START_TEST(test_fields_can_be_walked)
{
        static const StatusReply body = { 0 };
        const Schema *schema = interface_broker.methods[BROKER_STATUS].reply;
        const mcpcred_row row = { schema, &body, NULL };
        size_t n = 0;

        while (mcpcred_row_field_name(&row, n))
                n++;
        ck_assert_uint_eq(n, schema->n_fields);
        ck_assert_int_eq(mcpcred_row_field_kind(&row, 0), MCPCRED_KIND_TEXT);
        ck_assert_int_eq(mcpcred_row_field_kind(&row, n - 1), MCPCRED_KIND_RECORDS);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("client-lib/row");
        TCase *test = tcase_create("row");
        SRunner *runner;
        int failed;

        tcase_add_test(test, test_getters_by_kind);
        tcase_add_test(test, test_nested_records);
        tcase_add_test(test, test_fields_can_be_walked);
        suite_add_tcase(suite, test);
        runner = srunner_create(suite);
        srunner_set_tap(runner, "-");
        srunner_run_all(runner, CK_SILENT);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? 0 : 1;
}
