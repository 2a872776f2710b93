#pragma once
/*
 * What is looked for in files, without its being known: of each stored value a few bytes, its length and its keyed
 * hash; and the prefixes of what is issued, behind which a candidate begins that somebody else has to be asked about.
 *
 * A file cannot make this expensive: what is hashed is bounded by what was read, and what is beyond that is counted.
 */
#include "base/error.h"
#include "base/slice.h"

#define NEEDLES_KEY_SIZE 32U
#define NEEDLES_HASH_SIZE 32U
#define NEEDLE_LENGTH_MAX (16U * 1024U)
/* Of one file; further ones are counted. */
#define SCAN_HITS_MAX 4096U
/* Bytes that may be hashed for each one read, and for each file in any case. */
#define SCAN_WORK_PER_BYTE 16U
#define SCAN_WORK_BASE (256U * 1024U)

typedef struct Needles Needles;

/* A stored value: `anchor` is at `offset` in it, `hash` is its BLAKE2b-256 with the key. One that begins as PEM does is
 * found in any form that pem_normal() undoes. */
typedef struct NeedleValue {
        Slice anchor;
        size_t offset;
        size_t length;
        uint8_t hash[NEEDLES_HASH_SIZE];
} NeedleValue;

#define SCAN_CANDIDATE UINT32_MAX

typedef struct ScanHit {
        uint64_t offset; /* in the file */
        uint64_t line;   /* from 1; 0: not known */
        uint64_t column; /* in bytes, from 1 */
        uint32_t value;  /* which of the values; or SCAN_CANDIDATE */
        uint32_t size;   /* of what is in the file */
        uint8_t hash[32]; /* SHA-256 of what was found, in the form in which it is stored */
} ScanHit;

typedef struct ScanResult {
        ScanHit *hits;
        size_t n, room;
        size_t n_candidates; /* among them */
        uint64_t bytes; /* looked through so far */
        uint64_t work;
        uint64_t unchecked; /* places that look like one and were not looked at, being too many */
        bool binary;
        bool no_memory;
} ScanResult;

/* -EINVAL: something is longer or shorter than can be looked for, or there is nothing. */
int needles_new(Needles **ret, const uint8_t key[NEEDLES_KEY_SIZE], const NeedleValue *values, size_t n_values,
                const char *const *prefixes, size_t n_prefixes) NODISCARD NONNULL(1, 2);
Needles *needles_free(Needles *needles);
/* How many bytes in front of and behind a range have to be there when it is looked through. */
size_t needles_before(const Needles *needles) NONNULL(1);
size_t needles_behind(const Needles *needles) NONNULL(1);

/*
 * Looks through data[from, to), which is at `base` in its file, and appends what is found to `result`. What lies across
 * two adjoining ranges is found once, if the bytes around them are there. `scratch` has PEM_MAX bytes.
 */
void needles_find(const Needles *needles, Slice data, uint64_t base, size_t from, size_t to, uint8_t *scratch,
                  ScanResult *result) NONNULL(1, 6, 7);
/* Moves what was found in another part of the same file over. */
void scan_result_append(ScanResult *result, ScanResult *from) NONNULL(1, 2);
void scan_result_clear(ScanResult *result) NONNULL(1);

DEFINE_CLEANUP(Needles *, needles_free);
