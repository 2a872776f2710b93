#pragma once
/*
 * One secret in one of the forms that scrub.h names, laid beside a text. What each character has to be is
 * computed where it is asked for, so that there is no copy of the secret in that form.
 */
#include "base/slice.h"

typedef enum NeedleForm {
        NEEDLE_PLAIN,
        NEEDLE_BASE64_0, /* the secret begins with a group of three */
        NEEDLE_BASE64_1, /* one byte stands before it in its group */
        NEEDLE_BASE64_2,
        NEEDLE_HEX,
        _NEEDLE_FORM_N,
} NeedleForm;

/* Of Base64 only the characters that the secret alone decides. */
typedef struct Needle {
        Slice secret;  /* borrowed, and a secret */
        NeedleForm form;
        size_t length; /* characters */
        size_t skip;   /* of Base64: bits of the secret that are in the character before */
        bool before;   /* there is a character before that has some of its bits, */
        bool after;    /* or behind it */
        bool forks;    /* the secret has characters that begin an escape: it may be read in two ways */
} Needle;

/* The secret is not empty. */
Needle needle_make(Slice secret, NeedleForm form);

/* Whether this byte, as it is, may stand for the needle's character `i`: either alphabet of Base64 will do, either
 * case of hex, and a form's "+". */
bool needle_takes(const Needle *needle, size_t i, uint8_t byte);

/*
 * How long a match is that begins where the text does; 0: there is none. A secret of little else than characters
 * that begin an escape can be read in too many ways: then all of the text is taken for a match, and `sure` is set
 * to false.
 *
 * Where no character of the secret begins an escape, how long this takes is a matter of the text and not of how
 * far it agrees: who can have a long response made of his guesses could otherwise tell from the time how many
 * characters of them are right, and find the secret one by one.
 */
size_t needle_match(const Needle *needle, Slice text, bool *sure);
