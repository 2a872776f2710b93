#pragma once
/*
 * The real credential in what a session sends: nobody gave it to the sandbox, so that it is refused, never passed on, and
 * told to the vault as evidence of a leak. It is found in the forms that scrub.h knows, in the whole head and in the
 * body as it is on the wire: what is compressed or encrypted is not looked into, nor what a WebSocket carries.
 *
 * As with responses, how long it takes and how much is held back does not tell how far a guess goes.
 */
#include "egress/scrub_stream.h"
#include "wire/msg_egress.h"

/* A body can list all that a shorter credential may be, or a dictionary: that it was met says that its session misbehaves,
 * and not that anybody knew it. */
#define LEAK_CHECK_KNOWN_MIN 16U

typedef struct LeakCheck {
        Scrub *scrub;        /* borrowed from the grant */
        ScrubStream *stream; /* of a body that comes in pieces */
        bool sure;           /* of what was found: it is the credential, and is evidence */
} LeakCheck;

enum {
        _LEAK_CHECK_E_SUCCESS,
        LEAK_CHECK_E_FOUND, /* what stood before it may have been passed on */
};

/* The head, before anything is put into it. -ENOMEM, LEAK_CHECK_E_FOUND. */
int leak_check_head(LeakCheck *check, const EgressRequest *request) NODISCARD NONNULL(1, 2);
/* A body that is there whole. */
int leak_check_whole(LeakCheck *check, Slice body) NODISCARD NONNULL(1);
/* A piece of a body: what may go on is appended to `out`, at most what came and was held. */
int leak_check_piece(LeakCheck *check, const EgressRequest *request, Slice piece, Buf *out) NODISCARD NONNULL(1, 2, 4);
/* The rest of it. */
int leak_check_end(LeakCheck *check, Buf *out) NODISCARD NONNULL(1, 2);
/* What was found is evidence of: REPORT_LEAKED, REPORT_GUESSED, or nothing, REPORT_DENIED. */
ReportKind leak_check_kind(const LeakCheck *check) NONNULL(1);
void leak_check_deinit(LeakCheck *check) NONNULL(1);
