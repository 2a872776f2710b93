#pragma once
/*
 * An application/x-www-form-urlencoded body on its way: a marker that is the whole value of a field with
 * the slot's name becomes the credential. It is at most once there; anywhere else, or a second time, it is
 * INJECT_E_PLACE, and what was appended before that is all that may be sent (cut the request then).
 * Nothing is held back: names are compared as they pass.
 */
#include "egress/inject.h"

typedef struct InjectForm {
        const char *name;         /* borrowed */
        const Secret *credential; /* borrowed; NULL: any marker is INJECT_E_CREDENTIAL */
        size_t matched;           /* bytes of the name that this field's name has had */
        unsigned state;
        uint8_t escape;           /* the first digit of a percent-encoding */
        bool used;                /* the credential is in */
        bool failed;
} InjectForm;
void inject_form_init(InjectForm *form, const char *name, const Secret *credential) NONNULL(1, 2);
/* Appends to `out` what to send for these bytes: at most inject_form_length() of them. InjectError,
 * or buf_append()'s. */
int inject_form_feed(InjectForm *form, Slice bytes, Buf *out) NODISCARD NONNULL(1, 3);
/* How long a body of `length` bytes becomes when it has the marker. */
uint64_t inject_form_length(const Secret *credential, uint64_t length);
