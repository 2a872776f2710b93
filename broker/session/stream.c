#include "session/stream.h"
#include <sys/socket.h>
#include <unistd.h>

void stream_deinit(Stream *stream)
{
        stream->tls = tls_free(stream->tls);
        if (stream->fd >= 0)
                (void)close(stream->fd);
        stream->fd = -1;
        buf_deinit(&stream->out);
}

static int read_plain(Stream *stream, uint8_t *data, size_t size, size_t *ret)
{
        ssize_t n;

        if (stream->dry)
                return STREAM_E_AGAIN;
        n = recv(stream->fd, data, size, MSG_DONTWAIT);
        stream->dry = n < 0 || (size_t)n < size;
        if (n > 0) {
                *ret = (size_t)n;
                return 0;
        }
        return n < 0 && (errno == EAGAIN || errno == EINTR) ? STREAM_E_AGAIN : STREAM_E_CLOSED;
}

static int from_tls(int r)
{
        if (r <= 0)
                return r;
        return r == TLS_E_AGAIN || r == TLS_E_FULL ? STREAM_E_AGAIN : STREAM_E_CLOSED;
}

int stream_read(Stream *stream, Buf *in, size_t max)
{
        uint8_t *data;
        size_t n = 0;
        int r = buf_reserve(in, max, &data);

        if (r < 0)
                return r;
        r = stream->tls ? from_tls(tls_read(stream->tls, data, max, &n)) : read_plain(stream, data, max, &n);
        if (r == 0)
                buf_commit(in, n);
        return r;
}

void stream_announced(Stream *stream)
{
        stream->dry = false;
        if (stream->tls)
                tls_announced(stream->tls);
}

static int write_plain(const Stream *stream, Slice data, size_t *ret)
{
        ssize_t n = send(stream->fd, data.data, data.size, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n >= 0) {
                *ret = (size_t)n;
                return 0;
        }
        return errno == EAGAIN || errno == EINTR ? STREAM_E_AGAIN : STREAM_E_CLOSED;
}

/* A client that never takes all there is would fill the buffer with what it has had. */
static void compact(Stream *stream)
{
        if (stream->out_at < stream->out.size / 2)
                return;
        buf_consume(&stream->out, stream->out_at);
        stream->out_at = 0;
}

int stream_flush(Stream *stream, bool *ret_moved)
{
        while (stream_waiting(stream) > 0) {
                Slice rest = slice(stream->out.data + stream->out_at, stream_waiting(stream));
                size_t n = 0;
                int r = stream->tls ? from_tls(tls_write(stream->tls, rest, &n)) : write_plain(stream, rest, &n);

                stream->full = r == STREAM_E_AGAIN;
                if (r) {
                        compact(stream);
                        return r;
                }
                stream->out_at += n;
                if (ret_moved)
                        *ret_moved = true;
        }
        stream->full = false;
        stream->out_at = 0;
        buf_clear(&stream->out);
        return 0;
}

void stream_finish(Stream *stream)
{
        if (stream->finished)
                return;
        stream->finished = true;
        if (stream->tls)
                tls_close(stream->tls);
        (void)shutdown(stream->fd, SHUT_WR);
}
