#undef NDEBUG
#include "vault/failure.h"
#include "base/text.h"
#include "edge.h"

static bool fits_the_wire(const Failure *failure)
{
        FaultBody body = { .fault = failure->fault, .message = failure->message, .remedy = failure->remedy };
        Buf buf = BUF_NULL(CHANNEL_FRAME_MAX);
        bool fits = schema_encode(&schema_fault, &body, &buf) == 0;

        buf_deinit(&buf);
        return fits;
}

/* A text of `size` bytes whose characters are `width` bytes each, beginning `shift` bytes in. */
static void fill(char *out, size_t size, size_t width, size_t shift)
{
        static const char *const characters[] = { "", "x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x94\x91" };
        size_t n = 0;

        while (n < shift)
                out[n++] = 'a';
        for (; n + width <= size; n += width)
                memcpy(out + n, characters[width], width);
        while (n < size)
                out[n++] = 'z';
        out[n] = '\0';
}

START_TEST(long_message_is_cut_between_characters)
{
        char text[FAULT_MESSAGE_MAX * 2 + 1];

        for (size_t width = 1; width <= 4; width++)
                for (size_t shift = 0; shift < width; shift++)
                        for (size_t size = FAULT_MESSAGE_MAX - 6; size < FAULT_MESSAGE_MAX * 2; size++) {
                                Failure failure;

                                fill(text, size, width, shift);
                                failure_set(&failure, FAULT_INTERNAL, "%s", text);
                                ck_assert(text_is_utf8(slice_text(failure.message)));
                                ck_assert(fits_the_wire(&failure));
                                /* No more is lost than the character that was cut. */
                                ck_assert_uint_gt(strlen(failure.message) + 4, MIN(size, FAULT_MESSAGE_MAX - 1U));
                                ck_assert_mem_eq(failure.message, text, strlen(failure.message));
                        }
}
END_TEST

/* What a compromised role answers must not be what ends the vault. */
START_TEST(any_reply_of_a_role_can_be_passed_on)
{
        char message[FAULT_MESSAGE_MAX + 1], remedy[FAULT_MESSAGE_MAX + 1];

        for (size_t width = 1; width <= 4; width++)
                for (size_t shift = 0; shift < width; shift++) {
                        Failure failure;
                        Reply reply = { .fault = FAULT_KEYRING_FAILED, .message = message, .remedy = remedy };

                        fill(message, FAULT_MESSAGE_MAX, width, shift);
                        fill(remedy, FAULT_MESSAGE_MAX, width, shift);
                        failure_from_reply(&failure, &reply);
                        ck_assert_int_eq(failure.fault, FAULT_KEYRING_FAILED);
                        ck_assert(fits_the_wire(&failure));
                }
}
END_TEST

START_TEST(every_fault_has_its_sentence)
{
        for (Fault fault = FAULT_NONE + 1; fault < _FAULT_N; fault++) {
                Failure failure;
                Reply reply = { .fault = fault, .retry_after_usec = 5 };

                failure_set(&failure, fault, NULL);
                ck_assert_str_eq(failure.message, fault_info(fault)->sentence);
                ck_assert(fits_the_wire(&failure));
                failure_from_reply(&failure, &reply);
                ck_assert_str_eq(failure.message, fault_info(fault)->sentence);
                ck_assert_uint_eq(failure.retry_after_usec, 5);
        }
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("vault/failure");
        TCase *tcase = tcase_create("failure");

        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, long_message_is_cut_between_characters);
        tcase_add_test(tcase, any_reply_of_a_role_can_be_passed_on);
        tcase_add_test(tcase, every_fault_has_its_sentence);
        suite_add_tcase(suite, tcase);
        return edge_suite(suite);
}
