#include "support.h"
#include "vault/secret_item.h"

static const char *hosts[] = { "api.github.com", "uploads.github.com" };
static TextPair parameters[] = { { "app_id", "1234" }, { "installation_id", "5678" } };

static SecretBinding example_binding(void)
{
        return (SecretBinding){
                .provider = "github-app",
                .base_url = "https://api.github.com",
                .hosts = { hosts, ARRAY_SIZE(hosts) },
                .parameters = { parameters, ARRAY_SIZE(parameters) },
        };
}

static Secret *value_new(Arena *arena, char c, size_t size)
{
        Secret *secret = NULL;
        size_t capacity;

        ck_assert_int_eq(secret_new(&secret, arena, size), 0);
        memset(secret_buffer(secret, &capacity), c, size);
        secret_set_size(secret, size);
        return secret;
}

START_TEST(item_comes_back)
{
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(65536);
        SecretBinding binding = example_binding();
        SecretItem item = { .binding = &binding, .generation = 7 }, back;
        Secret *text = NULL;
        Fixture f;

        fixture_start(&f);
        item.current = value_new(f.arena, 'c', 100);
        for (unsigned variant = 0; variant < 3; variant++) {
                if (variant == 1)
                        item.next = value_new(f.arena, 'n', 1);
                if (variant == 2) {
                        item.next = secret_free(item.next);
                        item.previous = value_new(f.arena, 'p', 3000);
                }
                ck_assert_int_eq(secret_item_encode(&item, f.arena, &text), 0);
                ck_assert_int_eq(secret_item_decode(text, f.arena, &pool, &back), 0);
                ck_assert(secret_binding_equal(&binding, back.binding));
                ck_assert_uint_eq(back.generation, 7);
                ck_assert(secret_equal(back.current, secret_slice(item.current)));
                ck_assert_int_eq(back.next != NULL, variant == 1);
                ck_assert_int_eq(back.previous != NULL, variant == 2);
                secret_item_clear(&back);
                text = secret_free(text);
        }
        secret_item_clear(&item);
        fixture_stop(&f);
}
END_TEST

START_TEST(largest_item_fits)
{
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(65536);
        SecretBinding binding = example_binding();
        SecretItem item = { .binding = &binding, .generation = 1 }, back;
        char url[2049], long_value[400], keys[16][3];
        TextPair many[16];
        Secret *text = NULL;
        Fixture f;

        fixture_start(&f);
        memset(url, 'u', sizeof(url) - 1);
        url[sizeof(url) - 1] = '\0';
        memset(long_value, 'v', sizeof(long_value));
        binding.base_url = url;
        /* Grows the binding to what is just allowed. */
        for (size_t n = 0; n < ARRAY_SIZE(many); n++) {
                (void)snprintf(keys[n], sizeof(keys[n]), "%x", (unsigned)n);
                many[n] = (TextPair){ keys[n], "" };
        }
        long_value[200] = '\0';
        for (size_t n = 0; n < ARRAY_SIZE(many); n++)
                many[n].value = long_value;
        binding.parameters = (TextMap){ many, ARRAY_SIZE(many) };
        ck_assert_int_eq(secret_item_check_binding(&binding), 0);
        item.current = value_new(f.arena, 'c', SECRET_ITEM_VALUE_MAX);
        item.next = value_new(f.arena, 'n', SECRET_ITEM_VALUE_MAX);
        item.previous = value_new(f.arena, 'p', SECRET_ITEM_VALUE_MAX);
        ck_assert_int_eq(secret_item_encode(&item, f.arena, &text), 0);
        ck_assert_int_eq(secret_item_decode(text, f.arena, &pool, &back), 0);
        secret_item_clear(&back);
        text = secret_free(text);
        long_value[200] = 'v';
        long_value[399] = '\0';
        ck_assert_int_eq(secret_item_check_binding(&binding), SECRET_ITEM_E_TOO_LONG);
        ck_assert_int_eq(secret_item_encode(&item, f.arena, &text), SECRET_ITEM_E_TOO_LONG);
        binding = example_binding();
        item.next = secret_free(item.next);
        item.next = value_new(f.arena, 'n', SECRET_ITEM_VALUE_MAX + 1);
        ck_assert_int_eq(secret_item_encode(&item, f.arena, &text), SECRET_ITEM_E_TOO_LONG);
        ck_assert_ptr_null(text);
        secret_item_clear(&item);
        fixture_stop(&f);
}
END_TEST

START_TEST(incomplete_item_is_not_written)
{
        SecretBinding binding = example_binding();
        SecretItem item = { .binding = &binding, .generation = 1 };
        Secret *text = NULL;
        Fixture f;

        fixture_start(&f);
        ck_assert_int_eq(secret_item_encode(&item, f.arena, &text), -EINVAL);
        item.current = value_new(f.arena, 'c', 5);
        item.generation = 0;
        ck_assert_int_eq(secret_item_encode(&item, f.arena, &text), -EINVAL);
        item.generation = 1;
        item.binding = NULL;
        ck_assert_int_eq(secret_item_encode(&item, f.arena, &text), -EINVAL);
        secret_item_clear(&item);
        fixture_stop(&f);
}
END_TEST

static int decode_text(const Fixture *f, Slice text)
{
        _cleanup_(secret_freep) Secret *secret = NULL;
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(65536);
        SecretItem item;
        int r;

        ck_assert_int_eq(secret_from_bytes(&secret, f->arena, text), 0);
        r = secret_item_decode(secret, f->arena, &pool, &item);
        secret_item_clear(&item);
        return r;
}

START_TEST(cut_and_altered_text_is_refused)
{
        SecretBinding binding = example_binding();
        SecretItem item = { .binding = &binding, .generation = 7 };
        Secret *text = NULL;
        uint8_t copy[1024];
        size_t size, used;
        Fixture f;

        fixture_start(&f);
        item.current = value_new(f.arena, 'c', 40);
        item.previous = value_new(f.arena, 'p', 40);
        ck_assert_int_eq(secret_item_encode(&item, f.arena, &text), 0);
        size = secret_size(text);
        ck_assert_uint_lt(size, sizeof(copy) - 4);
        memcpy(copy, secret_slice(text).data, size);
        used = arena_used(f.arena);
        for (size_t n = 0; n < size; n++)
                ck_assert_int_ne(decode_text(&f, slice(copy, n)), 0);
        /* A bit may turn one value into another valid one; nothing may be read that is not whole.
         */
        for (size_t i = 0; i < size * 8; i++) {
                copy[i / 8] ^= (uint8_t)(1U << i % 8);
                ck_assert_int_ge(decode_text(&f, slice(copy, size)), 0);
                copy[i / 8] ^= (uint8_t)(1U << i % 8);
        }
        ck_assert_int_eq(decode_text(&f, slice(copy, size)), 0);
        /* Behind the end. */
        memcpy(copy + size, "AAAA", 4);
        ck_assert_int_eq(decode_text(&f, slice(copy, size + 4)), SECRET_ITEM_E_DAMAGED);
        copy[size] = '\n';
        ck_assert_int_eq(decode_text(&f, slice(copy, size + 1)), SECRET_ITEM_E_DAMAGED);
        ck_assert_uint_eq(arena_used(f.arena), used);
        text = secret_free(text);
        secret_item_clear(&item);
        fixture_stop(&f);
}
END_TEST

START_TEST(versions_are_told_apart)
{
        Fixture f;

        fixture_start(&f);
        ck_assert_int_eq(decode_text(&f, slice_text("mcpcred2:AAAA")), SECRET_ITEM_E_NEWER);
        ck_assert_int_eq(decode_text(&f, slice_text("mcpcred10:AAAA")), SECRET_ITEM_E_NEWER);
        ck_assert_int_eq(decode_text(&f, slice_text("mcpcred0:AAAA")), SECRET_ITEM_E_DAMAGED);
        ck_assert_int_eq(decode_text(&f, slice_text("mcpcred:AAAA")), SECRET_ITEM_E_DAMAGED);
        ck_assert_int_eq(decode_text(&f, slice_text("mcpcred1:")), SECRET_ITEM_E_DAMAGED);
        ck_assert_int_eq(decode_text(&f, slice_text("something else altogether")),
                         SECRET_ITEM_E_DAMAGED);
        ck_assert_int_eq(decode_text(&f, SLICE_NULL), SECRET_ITEM_E_DAMAGED);
        fixture_stop(&f);
}
END_TEST

START_TEST(bindings_are_compared_whole)
{
        static const char *other_hosts[] = { "api.github.com", "evil.example" };
        static TextPair other_parameters[] = { { "app_id", "1234" }, { "installation_id", "9" } };
        SecretBinding a = example_binding(), b = example_binding();

        ck_assert(secret_binding_equal(&a, &b));
        b.base_url = NULL;
        ck_assert(!secret_binding_equal(&a, &b));
        b = example_binding();
        b.hosts.items = other_hosts;
        ck_assert(!secret_binding_equal(&a, &b));
        b = example_binding();
        b.parameters.items = other_parameters;
        ck_assert(!secret_binding_equal(&a, &b));
        b = example_binding();
        b.hosts.n = 1;
        ck_assert(!secret_binding_equal(&a, &b));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("secret-item");
        TCase *tests = tcase_create("secret-item");

        tcase_add_test(tests, item_comes_back);
        tcase_add_test(tests, largest_item_fits);
        tcase_add_test(tests, incomplete_item_is_not_written);
        tcase_add_test(tests, cut_and_altered_text_is_refused);
        tcase_add_test(tests, versions_are_told_apart);
        tcase_add_test(tests, bindings_are_compared_whole);
        suite_add_tcase(suite, tests);
        return run_suite(suite);
}
