#pragma once
/*
 * The head of an upstream's response, as the session gets it: without what is about the connection, without
 * what would reach beyond this response, without the credential.
 */
#include "egress/grant.h"
#include "egress/inflate.h"
#include "http/head.h"

typedef struct ResponseHead {
        Pool pool; /* what `response` points at */
        EgressResponse response;
        InflateCoding coding; /* of the body; to be undone unless it is INFLATE_UNKNOWN */
        bool lines;           /* of the body: scrub_stream_has_lines() */
        bool scrubbed;        /* the credential was in it */
} ResponseHead;

/* `ret` is written in any case and freed by response_head_deinit(). -errno. */
int response_head_init(ResponseHead *ret, const HttpHead *head, const Grant *grant, bool head_request) NODISCARD
        NONNULL(1, 2, 3);
void response_head_deinit(ResponseHead *head);
