#pragma once
/*
 * One lane between a session's process and an egress: exchanges one after another over a
 * SOCK_SEQPACKET pair, one frame a packet. The kernel's buffer is the flow control: who cannot send
 * stops reading what it would have to send.
 *
 *   session                       egress
 *   REQUEST                 ->
 *                           <-    CONTINUE            if request.expect, and the body may come
 *   DATA* END               ->                        if it has a body; at any time
 *                           <-    RESPONSE DATA* END, or WHOLE: all of that in one
 * FAILURE may come in place of RESPONSE, CONTINUE, DATA or END, and ends the exchange. When both sides
 * have sent their END (a request without body has none) the lane is free again; behind a FAILURE that
 * came before the body's END, or to give up, the lane is closed. An upgraded exchange has DATA both
 * ways until either END, and its lane is closed then.
 *
 * This file frames and checks the order of frames for one side; whoever breaks it is cut off.
 */
#include "base/arena.h"
#include "loop/loop.h"
#include "wire/msg_egress.h"

/* A whole request or response, and the most bytes of a body in one frame. */
#define LANE_FRAME_MAX (64U * 1024U)
#define LANE_DATA_MAX  (LANE_FRAME_MAX - 1U)

typedef enum LaneFrame {
        LANE_FRAME_REQUEST = 'Q',
        LANE_FRAME_CONTINUE = 'C',
        LANE_FRAME_RESPONSE = 'R',
        LANE_FRAME_FAILURE = 'F',
        LANE_FRAME_DATA = 'D',
        LANE_FRAME_END = 'E',
        LANE_FRAME_WHOLE = 'W', /* a RESPONSE, DATA if there is any, and END: each frame costs more than its bytes */
} LaneFrame;

enum {
        _LANE_E_SUCCESS,
        LANE_E_AGAIN,     /* the peer does not read, or has nothing: wait for the descriptor */
        LANE_E_CLOSED,    /* the peer is gone */
        LANE_E_MALFORMED, /* not a frame, or one that may not come now */
        LANE_E_TOO_LARGE, /* what is to be sent does not fit a frame */
};

/* A frame that was received. `data` is borrowed from the buffer that it was received into; the
 * structs' texts are borrowed from the pool. */
typedef struct LaneMessage {
        LaneFrame frame;
        Slice data; /* of DATA and WHOLE; of the latter it may be empty */
        union {
                EgressRequest request;
                EgressResponse response; /* of RESPONSE and WHOLE */
                EgressFailure failure;
        };
} LaneMessage;

/* Whose end this is decides which frames may come. */
typedef enum LaneSide {
        LANE_SESSION,
        LANE_EGRESS,
} LaneSide;

/* A pair for the session's side: `ret[0]` to keep, `ret[1]` to hand over. Non-blocking, close-on-exec. */
int lane_pair(int ret[2]) NODISCARD;
/* LANE_E_AGAIN, LANE_E_CLOSED, LANE_E_TOO_LARGE, -errno. `body` is the frame's struct, or NULL. */
int lane_send(int fd, LaneFrame frame, const void *body) NODISCARD;
/* Up to LANE_DATA_MAX bytes; all of them or none. */
int lane_send_data(int fd, Slice data) NODISCARD;
/* For a RESPONSE or WHOLE, into an empty `out`. LANE_E_TOO_LARGE, -errno. */
int lane_encode_response(const EgressResponse *response, Buf *out) NODISCARD NONNULL(1, 2);
/* The same, when it is known what comes behind: `frame` is RESPONSE, or WHOLE with `data` (LANE_E_TOO_LARGE: not
 * in one frame). All of it is sent or none. */
int lane_send_response(int fd, LaneFrame frame, Slice encoded, Slice data) NODISCARD;
/* `buffer` has LANE_FRAME_MAX bytes. LANE_E_AGAIN, LANE_E_CLOSED, LANE_E_MALFORMED, -errno. */
int lane_receive(int fd, LaneSide side, uint8_t *buffer, Pool *pool, LaneMessage *ret) NODISCARD
        NONNULL(3, 4, 5);
