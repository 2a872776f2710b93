#pragma once
/* One request and its response, between a client's connection and a lane. */
#include "http/body.h"
#include "session/egress.h"
#include "session/request.h"
#include "session/response.h"

typedef struct Exchange {
        Grants *grants; /* as they were when it began */
        const Grant *grant;
        RequestRoute route; /* `rest` is not valid any more */
        Pool pool;          /* of the request, until it is sent */
        EgressRequest request;
        bool sent;
        Way *way;  /* NULL: none yet */
        bool away; /* the egress does not run at the moment */

        /* towards the upstream */
        HttpDecoder decoder;
        SlotScan scan;
        bool form;       /* the body is collected before it is sent */
        Buf form_body;
        Slice pending;   /* a piece of the body that is to be sent: of `in` or of the form */
        size_t pending_used; /* bytes of `in` that it came from */
        bool upload_done;
        bool way_full;   /* the lane took no more */

        /* towards the client */
        ResponseFrame frame;
        bool keeps;      /* the client would send another request */
        bool pipelined;  /* it has done so already */
        bool responded;  /* the head is in the client's output */
        bool begun;      /* and the client has some of it */
        bool download_done, upgraded;
} Exchange;
