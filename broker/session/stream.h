#pragma once
/* A client's connection as bytes, with TLS in it or without. Never blocks. */
#include "base/buf.h"
#include "session/tls.h"

/* Waits to be written: a frame of a lane and what a lane that has ended still held. */
#define STREAM_OUT_MAX (1024U * 1024U)

enum {
        _STREAM_E_SUCCESS,
        STREAM_E_AGAIN,
        STREAM_E_CLOSED, /* ended, properly or not */
};

typedef struct Stream {
        int fd;
        Tls *tls; /* NULL: in the clear */
        Buf out;
        size_t out_at; /* bytes of it that are written */
        bool full;     /* the socket took no more */
        bool dry;      /* in the clear: nothing is there until the descriptor says so */
        bool finished;
} Stream;

#define STREAM_NULL ((Stream){ .fd = -1, .out = BUF_NULL(STREAM_OUT_MAX) })

/* Closes hard where the socket is set to: what the kernel still holds is not sent. */
void stream_deinit(Stream *stream) NONNULL(1);
/* Appends what one read gives, up to `max` bytes. STREAM_E_*, -errno. Behind a read that found less than it
 * asked for the kernel is not asked again before stream_announced(). */
int stream_read(Stream *stream, Buf *in, size_t max) NODISCARD NONNULL(1, 2);
/* Writes what waits: 0 when all of it is. `ret_moved` (may be NULL) is set if some was. */
int stream_flush(Stream *stream, bool *ret_moved) NODISCARD NONNULL(1);
/* The descriptor is readable, or has ended. */
void stream_announced(Stream *stream) NONNULL(1);
/* Nothing more will be written. */
void stream_finish(Stream *stream) NONNULL(1);

static inline size_t stream_waiting(const Stream *stream)
{
        return stream->out.size - stream->out_at;
}
