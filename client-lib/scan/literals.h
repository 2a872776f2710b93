#pragma once
/*
 * Where any of some short texts occurs, at the speed of memory: of each text the four bytes that are the rarest are
 * looked for by table look-ups on 16 or 32 positions at a time, two nibbles of four bytes each, and only what passes
 * is compared. No text is skipped, however the bytes are cut into calls.
 */
#include "base/error.h"
#include "base/slice.h"

#define LITERAL_MIN 3U
#define LITERAL_MAX 32U
/* So many, that a file full of all of them is still looked at in reasonable time. */
#define LITERALS_MAX 8192U

typedef struct Literals Literals;

typedef enum LiteralsKind {
        LITERALS_SCALAR,
        LITERALS_SSSE3,
        LITERALS_AVX2,
        _LITERALS_KIND_N,
} LiteralsKind;

/* `at` is where the text begins. */
typedef void (*LiteralFound)(void *userdata, unsigned literal, size_t at);

/* The texts are copied. The same one may be there twice. -EINVAL: one is too short or too long, or there are none or
 * too many. */
int literals_new(Literals **ret, const Slice *texts, size_t n) NODISCARD NONNULL(1, 2);
Literals *literals_free(Literals *literals);
/* Another way to look than the best that this machine has; false where it has it not. For tests and comparisons. */
bool literals_choose(Literals *literals, LiteralsKind kind) NONNULL(1);
/*
 * Every occurrence has one byte that stands for it, within literals_reach() behind its beginning. Those for which that
 * byte is at [from, to) are told, in the order of that byte; so that adjoining ranges tell each of them once. They lie
 * in `data` as a whole.
 */
void literals_find(const Literals *literals, Slice data, size_t from, size_t to, LiteralFound found, void *userdata)
        NONNULL(1, 5);
/* How far behind an occurrence's beginning its byte can be, at most. */
size_t literals_reach(const Literals *literals) NONNULL(1);

DEFINE_CLEANUP(Literals *, literals_free);
