#include "ipc/lane.h"
#include "ipc/packet.h"
#include <sys/socket.h>

static const Schema *schema_of(LaneFrame frame)
{
        switch (frame) {
        case LANE_FRAME_REQUEST:
                return &schema_egress_request;
        case LANE_FRAME_RESPONSE:
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

int lane_receive(int fd, LaneSide side, uint8_t *buffer, Pool *pool, LaneMessage *ret)
{
        const Schema *schema;
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
        if (schema)
                return schema_decode(schema, slice(buffer + 1, (size_t)n - 1), NULL, pool, &ret->request, NULL)
                               ? LANE_E_MALFORMED
                               : 0;
        ret->data = slice(buffer + 1, (size_t)n - 1);
        if ((ret->frame == LANE_FRAME_DATA) != (ret->data.size > 0))
                return LANE_E_MALFORMED;
        return 0;
}
