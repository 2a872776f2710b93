#undef NDEBUG
/* Frames of a lane, and a response that goes in one. */
#include "ipc/lane.h"
#include "base/fd.h"
#include <check.h>
#include <sys/socket.h>

#define POOL_MAX (4U * LANE_FRAME_MAX)

static int lane[2];
static uint8_t frame[LANE_FRAME_MAX];

static void setup(void)
{
        ck_assert_int_eq(lane_pair(lane), 0);
}

static void teardown(void)
{
        fd_close(lane[0]);
        fd_close(lane[1]);
}

static void encode(Buf *out)
{
        static const HeaderField fields[] = { { "content-type", "text/plain" } };
        const EgressResponse response = {
                .status = 200,
                .headers = { (void *)(uintptr_t)fields, 1 },
                .body = BODY_LENGTH,
                .length = 5,
        };

        ck_assert_int_eq(lane_encode_response(&response, out), 0);
}

static int receive(LaneSide side, Pool *pool, LaneMessage *ret)
{
        return lane_receive(lane[0], side, frame, pool, ret);
}

START_TEST(whole_is_a_response_and_its_body)
{
        static const char *const bodies[] = { "hello", "" };
        Buf encoded = BUF_NULL(LANE_FRAME_MAX);
        Pool pool = POOL_NULL(POOL_MAX);
        LaneMessage message;

        encode(&encoded);
        ck_assert_int_eq(lane_send_response(lane[1], LANE_FRAME_WHOLE, buf_slice(&encoded), slice_text(bodies[_i])), 0);
        ck_assert_int_eq(receive(LANE_SESSION, &pool, &message), 0);
        ck_assert_int_eq(message.frame, LANE_FRAME_WHOLE);
        ck_assert_int_eq(message.response.status, 200);
        ck_assert_int_eq(message.response.headers.n, 1);
        ck_assert_int_eq(message.response.length, 5);
        ck_assert(slice_is_text(message.data, bodies[_i]));
        pool_deinit(&pool);
        buf_deinit(&encoded);
}
END_TEST

START_TEST(response_is_the_same_as_from_its_struct)
{
        Buf encoded = BUF_NULL(LANE_FRAME_MAX);
        Pool pool = POOL_NULL(POOL_MAX);
        LaneMessage message;

        encode(&encoded);
        ck_assert_int_eq(lane_send_response(lane[1], LANE_FRAME_RESPONSE, buf_slice(&encoded), SLICE_NULL), 0);
        ck_assert_int_eq(receive(LANE_SESSION, &pool, &message), 0);
        ck_assert_int_eq(message.frame, LANE_FRAME_RESPONSE);
        ck_assert_int_eq(message.response.status, 200);
        pool_deinit(&pool);
        buf_deinit(&encoded);
}
END_TEST

START_TEST(whole_that_fills_a_frame)
{
        static uint8_t data[LANE_FRAME_MAX];
        Buf encoded = BUF_NULL(LANE_FRAME_MAX);
        Pool pool = POOL_NULL(POOL_MAX);
        LaneMessage message;
        size_t most;

        encode(&encoded);
        most = LANE_FRAME_MAX - 5 - encoded.size;
        ck_assert_int_eq(lane_send_response(lane[1], LANE_FRAME_WHOLE, buf_slice(&encoded), slice(data, most + 1)),
                         LANE_E_TOO_LARGE);
        ck_assert_int_eq(lane_send_response(lane[1], LANE_FRAME_WHOLE, buf_slice(&encoded), slice(data, most)), 0);
        ck_assert_int_eq(receive(LANE_SESSION, &pool, &message), 0);
        ck_assert_uint_eq(message.data.size, most);
        ck_assert_int_eq(receive(LANE_SESSION, &pool, &message), LANE_E_AGAIN);
        pool_deinit(&pool);
        buf_deinit(&encoded);
}
END_TEST

START_TEST(whole_is_not_for_egress)
{
        Buf encoded = BUF_NULL(LANE_FRAME_MAX);
        Pool pool = POOL_NULL(POOL_MAX);
        LaneMessage message;

        encode(&encoded);
        ck_assert_int_eq(lane_send_response(lane[1], LANE_FRAME_WHOLE, buf_slice(&encoded), SLICE_NULL), 0);
        ck_assert_int_eq(receive(LANE_EGRESS, &pool, &message), LANE_E_MALFORMED);
        pool_deinit(&pool);
        buf_deinit(&encoded);
}
END_TEST

/* Cut anywhere in its response, and with every size that it could claim to have. */
START_TEST(whole_that_is_cut_or_lies)
{
        Buf encoded = BUF_NULL(LANE_FRAME_MAX);
        uint8_t bytes[1024] = { LANE_FRAME_WHOLE };

        encode(&encoded);
        ck_assert_uint_lt(encoded.size, 256);
        memcpy(bytes + 5, encoded.data, encoded.size);
        for (size_t size = 1; size <= 5 + encoded.size; size++)
                for (unsigned claimed = 0; claimed < 256; claimed++) {
                        bool right = size == 5 + encoded.size && claimed == encoded.size;
                        Pool pool = POOL_NULL(POOL_MAX);
                        LaneMessage message;

                        bytes[1] = (uint8_t)claimed;
                        ck_assert_int_eq(send(lane[1], bytes, size, 0), (int)size);
                        ck_assert_int_eq(receive(LANE_SESSION, &pool, &message), right ? 0 : LANE_E_MALFORMED);
                        pool_deinit(&pool);
                }
        buf_deinit(&encoded);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("ipc/lane");
        TCase *whole = tcase_create("whole");

        tcase_add_checked_fixture(whole, setup, teardown);
        tcase_add_loop_test(whole, whole_is_a_response_and_its_body, 0, 2);
        tcase_add_test(whole, response_is_the_same_as_from_its_struct);
        tcase_add_test(whole, whole_that_fills_a_frame);
        tcase_add_test(whole, whole_is_not_for_egress);
        tcase_add_test(whole, whole_that_is_cut_or_lies);
        suite_add_tcase(suite, whole);
        return suite;
}

int main(void)
{
        SRunner *runner = srunner_create(suite());
        int failed;

        srunner_set_tap(runner, "-");
        srunner_run_all(runner, CK_SILENT);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? 1 : 0;
}
