#pragma once
/*
 * The one place of a request where a handle may stand. Pure: a canonical request in, the handle that
 * stands in the slot out, and the request as it is passed on, with SLOT_MARKER in the handle's place.
 * Whose handle it is, is for the caller to say.
 */
#include "base/ident.h"
#include "wire/msg_egress.h"

/* Of a form's body, which is buffered whole: what one frame of a lane carries. */
#define SLOT_FORM_MAX (64U * 1024U - 1U)
/* Of the user's name beside a Basic handle. */
#define SLOT_USER_MAX 128U

enum {
        _SLOT_E_SUCCESS,
        SLOT_E_NONE,  /* no handle stands there */
        SLOT_E_TWICE, /* one does, but the slot is there twice, so that readers could differ */
};

typedef struct SlotSpec {
        SlotKind kind;
        const char *name;   /* NULL where the kind has none */
        const char *prefix; /* NULL: none */
} SlotSpec;

typedef enum SlotPlace {
        SLOT_PLACE_HEADER,
        SLOT_PLACE_PATH,
        SLOT_PLACE_QUERY,
} SlotPlace;

typedef struct SlotHit {
        Slice token; /* the handle: well-formed, borrowed from the request or the pool */
        SlotPlace place;
        size_t header;      /* of SLOT_PLACE_HEADER: which */
        const char *marked; /* what stands there with the marker; in the pool */
} SlotHit;

/* SLOT_E_NONE, SLOT_E_TWICE, -errno. A form's slot is in its body, so nothing is found here. */
int slot_find(const SlotSpec *spec, const EgressRequest *request, Pool *pool, SlotHit *ret) NODISCARD
        NONNULL(1, 2, 3, 4);
/* Puts the marker where the handle was found. */
void slot_mark(const SlotHit *hit, EgressRequest *request) NONNULL(1, 2);

/* The same in an application/x-www-form-urlencoded body. A raw marker in it is SLOT_E_TWICE. */
int slot_find_form(const SlotSpec *spec, Slice body, Slice *ret_token) NODISCARD NONNULL(1, 3);
/* `body` with the marker in the place of `token`, which borrows from it, appended to `out`. */
int slot_mark_form(Slice body, Slice token, Buf *out) NODISCARD NONNULL(3);
/* Whether the request's body is such a form, in the clear. */
bool slot_is_form(const EgressRequest *request) NONNULL(1);

/* The first well-formed handle in these bytes, or an empty slice. */
Slice slot_next_handle(Slice bytes);
/* The first one anywhere in the request's head, inside of Base64 too. SLOT_E_NONE, -errno. */
int slot_stray(const EgressRequest *request, Pool *pool, Slice *ret) NODISCARD NONNULL(1, 2, 3);
/* The handle that "Basic base64(user:HANDLE)" has as its password; in the pool. SLOT_E_NONE, -errno. */
int slot_basic_password(Slice value, Pool *pool, Slice *ret) NODISCARD NONNULL(2, 3);

/* Looks for handles in a stream, also across the pieces that it comes in. */
typedef struct SlotScan {
        uint8_t tail[IDENT_TOKEN_SIZE - 1U];
        size_t n_tail;
} SlotScan;

/* The first handle that ends in this piece is copied to `token`: whether there is one. */
bool slot_scan_feed(SlotScan *scan, Slice piece, uint8_t token[IDENT_TOKEN_SIZE]) NONNULL(1, 3);
