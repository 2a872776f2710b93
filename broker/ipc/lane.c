#include "ipc/lane.h"
#include "base/reader.h"
#include "ipc/packet.h"
#include <sys/socket.h>

/* Of WHOLE: how many bytes are its response, least significant first. */
#define WHOLE_SIZE 4U

static const Schema *schema_of(LaneFrame frame)
{
        switch (frame) {
        case LANE_FRAME_REQUEST:
                return &schema_egress_request;
        case LANE_FRAME_RESPONSE:
        case LANE_FRAME_WHOLE:
                return &schema_egress_response;
        case LANE_FRAME_FAILURE:
                return &schema_egress_failure;
        default:
                return NULL;
        }
}

/* Whether this side may get such a frame at all. The order is the state machine's of each side. */
static bool may_come(LaneSide side, LaneFrame frame)
{
        switch (frame) {
        case LANE_FRAME_REQUEST:
                return side == LANE_EGRESS;
        case LANE_FRAME_CONTINUE:
        case LANE_FRAME_RESPONSE:
        case LANE_FRAME_FAILURE:
        case LANE_FRAME_WHOLE:
                return side == LANE_SESSION;
        case LANE_FRAME_DATA:
        case LANE_FRAME_END:
                return true;
        }
        return false;
}

int lane_pair(int ret[2])
{
        return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret) < 0 ? error_errno() : 0;
}

static int send_result(ssize_t n)
{
        if (n >= 0)
                return 0;
        switch (errno) {
        case EAGAIN:
        case ENOBUFS:
                return LANE_E_AGAIN;
        case EPIPE:
        case ECONNRESET:
                return LANE_E_CLOSED;
        case EMSGSIZE:
                return LANE_E_TOO_LARGE;
        default:
                return error_errno();
        }
}

int lane_send(int fd, LaneFrame frame, const void *body)
{
        const Schema *schema = schema_of(frame);
        Buf buf = BUF_NULL(LANE_FRAME_MAX);
        int r;

        r = buf_append_u8(&buf, (uint8_t)frame);
        if (r == 0 && schema)
                r = schema_encode(schema, body, &buf);
        if (r == -ENOBUFS || r == SCHEMA_E_NO_SPACE)
                r = LANE_E_TOO_LARGE;
        if (r == 0)
                r = send_result(send(fd, buf.data, buf.size, MSG_NOSIGNAL | MSG_DONTWAIT));
        buf_deinit(&buf);
        return r;
}

int lane_send_data(int fd, Slice data)
{
        uint8_t frame = LANE_FRAME_DATA;
        struct iovec parts[] = { { &frame, 1 }, { (void *)(uintptr_t)data.data, data.size } };
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts) };

        return send_result(sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
}

int lane_encode_response(const EgressResponse *response, Buf *out)
{
        int r = schema_encode(&schema_egress_response, response, out);

        if (r == -ENOBUFS || r == SCHEMA_E_NO_SPACE || (r == 0 && out->size > LANE_FRAME_MAX - 1))
                return LANE_E_TOO_LARGE;
        return r;
}

int lane_send_response(int fd, LaneFrame frame, Slice encoded, Slice data)
{
        uint8_t head[1 + WHOLE_SIZE] = { (uint8_t)frame };
        struct iovec parts[] = {
                { head, 1 },
                { (void *)(uintptr_t)encoded.data, encoded.size },
                { (void *)(uintptr_t)data.data, data.size },
        };
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = frame == LANE_FRAME_WHOLE ? 3 : 2 };

        if (frame == LANE_FRAME_WHOLE) {
                if (data.size > LANE_FRAME_MAX || encoded.size > LANE_FRAME_MAX ||
                    sizeof(head) + encoded.size + data.size > LANE_FRAME_MAX)
                        return LANE_E_TOO_LARGE;
                for (size_t i = 0; i < WHOLE_SIZE; i++)
                        head[1 + i] = (uint8_t)(encoded.size >> (8 * i));
                parts[0].iov_len = sizeof(head);
        }
        return send_result(sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
}

/* Of WHOLE: the response, and what is behind it. */
static int split_whole(Slice *body, Slice *ret_data)
{
        Reader reader;
        uint32_t size;
        Slice encoded;

        reader_init(&reader, *body);
        if (reader_u32(&reader, &size) || reader_bytes(&reader, size, &encoded))
                return LANE_E_MALFORMED;
        *ret_data = slice(encoded.data + size, reader_left(&reader));
        *body = encoded;
        return 0;
}

int lane_receive(int fd, LaneSide side, uint8_t *buffer, Pool *pool, LaneMessage *ret)
{
        const Schema *schema;
        Slice body;
        ssize_t n = recv(fd, buffer, LANE_FRAME_MAX, MSG_DONTWAIT | MSG_TRUNC);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return LANE_E_AGAIN;
        if (n == 0 || (n < 0 && errno == ECONNRESET))
                return LANE_E_CLOSED;
        if (n < 0)
                return error_errno();
        if ((size_t)n > LANE_FRAME_MAX || !may_come(side, (LaneFrame)buffer[0]))
                return LANE_E_MALFORMED;
        *ret = (LaneMessage){ .frame = (LaneFrame)buffer[0] };
        schema = schema_of(ret->frame);
        body = slice(buffer + 1, (size_t)n - 1);
        if (ret->frame == LANE_FRAME_WHOLE && split_whole(&body, &ret->data))
                return LANE_E_MALFORMED;
        if (schema)
                return schema_decode(schema, body, NULL, pool, &ret->request, NULL) ? LANE_E_MALFORMED : 0;
        ret->data = body;
        if ((ret->frame == LANE_FRAME_DATA) != (ret->data.size > 0))
                return LANE_E_MALFORMED;
        return 0;
}
