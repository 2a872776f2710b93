#pragma once
/*
 * Finds a grant's real credential in bytes that are there whole (of a body that comes in chunks,
 * scrub_stream.h does), in the forms in which servers reflect things:
 *
 *   - as it is;
 *   - in Base64, at all three alignments (so also as "user:credential"), in both alphabets, with the line
 *     breaks of MIME between its characters, also where JSON writes them "\n";
 *   - in hex, both cases;
 *   - and in each of these any subset of its characters percent-encoded, escaped as in JSON or JavaScript
 *     (\u00XX, \xXX, \/, \", \\), or as in HTML (&#NN; &#xHH; &name;), mixed at will;
 *   - and, without such escapes, in UTF-16 or UTF-32.
 *
 * Of a form that would be longer than scrub_span() nothing is promised: only hex with every digit escaped is
 * that long.
 *
 * It does not decompress (inflate.h comes before it), nor undo two layers of escapes, encryption or hashes.
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

#define SCRUB_SECRET_MIN 8U
#define SCRUB_SECRET_MAX 8192U
#define SCRUB_SECRETS_MAX 4U
/* The masking character, unless the secret has it. */
#define SCRUB_MASK_CHARACTER '*'

enum {
        _SCRUB_E_SUCCESS,
        SCRUB_E_SECRET, /* too short, too long, not printable ASCII, or too many */
        SCRUB_E_FULL,   /* the arena has no room */
        SCRUB_E_FOUND,  /* strict (scrub_stream.h): the credential is there, cut the response */
};

/* What is looked for: one for a grant, shared by its responses. */
typedef struct Scrub Scrub;
/* The secrets are copied into the arena. SCRUB_E_SECRET, SCRUB_E_FULL, -ENOMEM. */
int scrub_new(Scrub **ret, Arena *arena, const Slice *secrets, size_t n_secrets) NODISCARD NONNULL(1, 2);
Scrub *scrub_ref(Scrub *scrub) NONNULL(1);
/* Wipes with the last one. Accepts NULL. */
Scrub *scrub_unref(Scrub *scrub);
/* Bytes of the longest match that is promised. */
size_t scrub_span(const Scrub *scrub) NONNULL(1);

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

typedef struct ScrubScan {
        size_t next; /* no match begins before here */
        size_t cut;  /* strict: where the first match begins */
        uint64_t found;
        bool sure;   /* one of those found is, as scrub_finds() says */
} ScrubScan;
/* Overwrites each match that begins at `at` or behind it, and before `end`; with `strict` it stops at the first, and
 * leaves it. */
ScrubScan scrub_scan(const Scrub *scrub, uint8_t *data, size_t size, size_t at, size_t end, bool strict)
        NONNULL(1);

DEFINE_CLEANUP(Scrub *, scrub_unref);
