#pragma once
/*
 * Scrubs one response's body on its way: finds what scrub.h finds across any split into chunks.
 *
 * How much is held back. A match can be told from the bytes from its first to its last, so that many bytes
 * have to be waited for. That number must not depend on whether they look like the credential: who can make
 * the upstream echo a guess could read from the delay how far the guess goes, and find the credential byte
 * by byte. So always exactly scrub_stream_hold() bytes are held (fewer only if fewer have come) until the end, or,
 * with `lines`, as many as have come since the last line break.
 *
 * `lines` is for streams of which each line matters as it comes (scrub_stream_has_lines()). A credential has no
 * line break (inject.h sees to it), so none of the forms but wrapped Base64 goes beyond a line, and a complete
 * line need not be waited with. The price: in such a stream Base64 that is wrapped is not seen as a whole.
 * No one wraps there: each line of an event has "data:" before it, and in JSON no string has a line break
 * but as "\n", which is seen.
 */
#include "base/buf.h"
#include "egress/scrub.h"
#include "wire/egress_policy.h"

typedef struct ScrubStream ScrubStream;

/* How many bytes are held back. */
size_t scrub_stream_hold(const Scrub *scrub) NONNULL(1);
/* text/event-stream and all that is JSON, which some send line by line. Parameters are ignored. */
bool scrub_stream_has_lines(Slice content_type);

/* Takes a reference. With SCRUB_OFF bytes pass. -ENOMEM. */
int scrub_stream_new(ScrubStream **ret, Scrub *scrub, ScrubMode mode, bool lines) NODISCARD NONNULL(1, 2);
ScrubStream *scrub_stream_free(ScrubStream *stream);
/*
 * Appends to `out` what may go on: at most what came and was held. A match is overwritten, each byte by a mask,
 * so lengths do not change. Strict: SCRUB_E_FOUND, and what stood before the match has been appended.
 * buf_append()'s errors; the stream is of no use then.
 */
int scrub_stream_feed(ScrubStream *stream, Slice bytes, Buf *out) NODISCARD NONNULL(1, 3);
/* The body has ended: the rest. SCRUB_E_FOUND as above. */
int scrub_stream_end(ScrubStream *stream, Buf *out) NODISCARD NONNULL(1, 2);
/* Bytes that are held now. */
size_t scrub_stream_held(const ScrubStream *stream) NONNULL(1);
/* How many matches there were. */
uint64_t scrub_stream_found(const ScrubStream *stream) NONNULL(1);
/* One of them is sure, as scrub_finds() says. */
bool scrub_stream_is_sure(const ScrubStream *stream) NONNULL(1);

DEFINE_CLEANUP(ScrubStream *, scrub_stream_free);
