#pragma once
/*
 * Finds a grant's real credential in what an upstream sends back, in the forms in which servers reflect
 * things, across any split into chunks:
 *
 *   - as it is;
 *   - in Base64, at all three alignments (so also as "user:credential"), in both alphabets, with the line
 *     breaks of MIME between its characters, also where JSON writes them "\n";
 *   - in hex, both cases;
 *   - and in each of these any subset of its characters percent-encoded, escaped as in JSON or JavaScript
 *     (\u00XX, \xXX, \/, \", \\), or as in HTML (&#NN; &#xHH; &name;), mixed at will;
 *   - and, without such escapes, in UTF-16 or UTF-32.
 *
 * Of a form that would be longer than scrub_hold() nothing is promised: only hex with every digit escaped is
 * that long.
 *
 * It does not decompress (inflate.h comes before it), nor undo two layers of escapes, encryption or hashes.
 *
 * How much is held back. A match can be told from the bytes from its first to its last, so that many bytes
 * have to be waited for. That number must not depend on whether they look like the credential: who can make
 * the upstream echo a guess could read from the delay how far the guess goes, and find the credential byte
 * by byte. So always exactly scrub_hold() bytes are held (fewer only if fewer have come) until the end, or,
 * with `lines`, as many as have come since the last line break.
 *
 * `lines` is for streams of which each line matters as it comes (scrub_is_line_stream()). A credential has no
 * line break (inject.h sees to it), so none of the forms but wrapped Base64 goes beyond a line, and a complete
 * line need not be waited with. The price: in such a stream Base64 that is wrapped is not seen as a whole.
 * No one wraps there: each line of an event has "data:" before it, and in JSON no string has a line break
 * but as "\n", which is seen.
 *
 * A secret of less than SCRUB_SECRET_MIN bytes is refused: it is found in innocent text, and what is masked
 * then tells it.
 *
 * Costs about 1 ns a byte where nothing is found; the start of a match has to agree in two bytes of a known
 * form before more than a table is looked at. From then on the time does not depend on how far bytes agree
 * (but with a secret that has one of "%\&" in it): that would be the same oracle again.
 */
#include "base/buf.h"
#include "base/secret.h"
#include "wire/egress_policy.h"

#define SCRUB_SECRET_MIN 8U
#define SCRUB_SECRET_MAX 8192U
#define SCRUB_SECRETS_MAX 4U
/* The masking character, unless the secret has it. */
#define SCRUB_MASK_CHARACTER '*'

enum {
        _SCRUB_E_SUCCESS,
        SCRUB_E_SECRET, /* too short, too long, not printable ASCII, or too many */
        SCRUB_E_FULL,   /* the arena has no room */
        SCRUB_E_FOUND,  /* strict: the credential is there; the stream is over, cut the response */
};

/* What is looked for: one for a grant, shared by its responses. */
typedef struct Scrub Scrub;
/* One response's body on its way. */
typedef struct ScrubStream ScrubStream;

/* The secrets are copied into the arena. SCRUB_E_SECRET, SCRUB_E_FULL, -ENOMEM. */
int scrub_new(Scrub **ret, Arena *arena, const Slice *secrets, size_t n_secrets) NODISCARD NONNULL(1, 2);
Scrub *scrub_ref(Scrub *scrub) NONNULL(1);
/* Wipes with the last one. Accepts NULL. */
Scrub *scrub_unref(Scrub *scrub);
/* How many bytes are held back. */
size_t scrub_hold(const Scrub *scrub) NONNULL(1);

/*
 * A header's value (or name), or anything else that is there whole: appends it to `out` with each byte of a
 * match overwritten by a mask of the same length. `ret_found` says whether there was one; in strict mode that
 * is for the caller to act on. buf_append()'s errors.
 */
int scrub_text(const Scrub *scrub, Slice text, Buf *out, bool *ret_found) NODISCARD NONNULL(1, 3, 4);

/* Is there a match? `ret_sure`: it is the secret, and not only what cannot be told from it in reasonable time, which a
 * secret with many of "%\&" in it can lead to. */
bool scrub_finds(const Scrub *scrub, Slice text, bool *ret_sure) NONNULL(1, 3);

/* Bytes of the shortest secret that is looked for. */
size_t scrub_shortest(const Scrub *scrub) NONNULL(1);

/* text/event-stream and all that is JSON, which some send line by line. Parameters are ignored. */
bool scrub_is_line_stream(Slice content_type);

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

DEFINE_CLEANUP(Scrub *, scrub_unref);
DEFINE_CLEANUP(ScrubStream *, scrub_stream_free);
