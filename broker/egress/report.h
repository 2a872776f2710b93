#pragma once
/*
 * What belongs into the audit log, on its way to the vault: the first of a kind, for a session, reason
 * and host, at once; what repeats it within a second is counted and told in one further line.
 */
#include "ipc/channel.h"
#include "wire/msg_egress.h"

typedef struct Reporter Reporter;

int reporter_new(Reporter **ret, Loop *loop) NODISCARD NONNULL(1, 2);
Reporter *reporter_free(Reporter *reporter);
/* Where reports go; NULL while there is nobody, when they are counted and wait. */
int reporter_set_channel(Reporter *reporter, Channel *channel) NODISCARD NONNULL(1);
/* `report->count` is the reporter's own to fill; texts that do not fit are cut. */
int reporter_tell(Reporter *reporter, const EgressReport *report) NODISCARD NONNULL(1, 2);

DEFINE_CLEANUP(Reporter *, reporter_free);
