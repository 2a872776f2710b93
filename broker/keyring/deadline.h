#pragma once
/*
 * Ends a blocking GIO call in time. The synchronous calls of libsecret run a main context of their
 * own, so that no timer of ours would fire meanwhile, and libsecret's own limit is D-Bus's 25 seconds:
 * a thread waits and cancels.
 */
#include "base/error.h"
#include "base/macros.h"
#include <gio/gio.h>

typedef struct Deadline Deadline;

/* The thread starts here; it takes nothing from the loop. */
int deadline_new(Deadline **ret) NODISCARD NONNULL(1);
Deadline *deadline_free(Deadline *deadline);
/* What to hand to the calls, fresh, and valid until deadline_end(). One at a time. */
GCancellable *deadline_begin(Deadline *deadline, uint64_t usec) NONNULL(1);
void deadline_end(Deadline *deadline) NONNULL(1);

DEFINE_CLEANUP(Deadline *, deadline_free);
