#pragma once
/* What the search has to find, found in the simplest way; and sources that give bytes in portions. */
#include "scan/scan.h"
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define UNUSED_FUNCTION static __attribute__((unused))

/* Values by their text; anchors are where `offsets` says. */
typedef struct Stored {
        const char *text;
        size_t offset, anchor; /* of the anchor, and how long it is */
} Stored;

UNUSED_FUNCTION Needles *needles_of(const Stored *stored, size_t n, const char *const *prefixes, size_t n_prefixes)
{
        static const uint8_t key[NEEDLES_KEY_SIZE] = "a key of these tests";
        NeedleValue values[16];
        Needles *needles;

        for (size_t i = 0; i < n; i++) {
                Slice text = slice_text(stored[i].text);

                values[i] = (NeedleValue){ .anchor = slice(text.data + stored[i].offset, stored[i].anchor),
                                           .offset = stored[i].offset,
                                           .length = text.size };
                (void)crypto_generichash(values[i].hash, sizeof(values[i].hash), text.data, text.size, key, sizeof(key));
        }
        if (needles_new(&needles, key, values, n, prefixes, n_prefixes))
                abort();
        return needles;
}

typedef struct Portions {
        Slice left;
        size_t portion; /* at most so many bytes at a time */
} Portions;

UNUSED_FUNCTION ssize_t read_portion(void *userdata, void *to, size_t size)
{
        Portions *portions = userdata;
        size_t n = MIN(MIN(size, portions->portion), portions->left.size);

        if (n > 0)
                memcpy(to, portions->left.data, n);
        portions->left = slice(portions->left.data + n, portions->left.size - n);
        return (ssize_t)n;
}

/* Occurrences of the texts are exactly the hits that are no candidates; aborts otherwise. */
UNUSED_FUNCTION void expect_naive(Slice data, const Stored *stored, size_t n, const ScanResult *result)
{
        size_t found = 0;

        for (size_t at = 0; at < data.size; at++)
                for (size_t i = 0; i < n; i++) {
                        Slice text = slice_text(stored[i].text);
                        bool there = data.size - at >= text.size && memcmp(data.data + at, text.data, text.size) == 0;
                        size_t hits = 0;

                        for (size_t j = 0; j < result->n; j++)
                                hits += result->hits[j].offset == at && result->hits[j].value == i;
                        if (hits != there)
                                abort();
                        found += there;
                }
        if (found != result->n - result->n_candidates)
                abort();
}
