#pragma once
/* What egress answered, as the client gets it. Pure. */
#include "base/buf.h"
#include "http/head.h"
#include "wire/msg_egress.h"

typedef struct ResponseFrame {
        bool head_request; /* no body follows, whatever it says */
        bool old;          /* the client speaks HTTP/1.0: no chunks */
        bool closes;       /* the connection ends behind it; set where it must */
        HttpBody body;     /* how the body is framed */
        uint64_t left;     /* bytes of HTTP_BODY_LENGTH that are to come */
} ResponseFrame;

/* Writes the head, and says in `frame` what is to follow. -EINVAL: egress's response is none. */
int response_write_head(const EgressResponse *response, ResponseFrame *frame, Buf *out) NODISCARD NONNULL(1, 2, 3);
/* A piece of the body. -EINVAL: there is none, or less of it. */
int response_write_data(ResponseFrame *frame, Slice data, Buf *out) NODISCARD NONNULL(1, 3);
/* Its end. -EINVAL: it was to be longer. */
int response_write_end(const ResponseFrame *frame, Buf *out) NODISCARD NONNULL(1, 2);
