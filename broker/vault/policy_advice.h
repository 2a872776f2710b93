#pragma once
/* What the way out of a profile promises more than it holds, or holds open: sentences for `doctor`. Pure. */
#include "wire/msg_broker.h"
#include "wire/msg_supervisor.h"

typedef struct Advice {
        void *userdata;
        /* `summary` and `remedy` are valid during the call. */
        void (*say)(void *userdata, const char *summary, const char *remedy);
} Advice;

/*
 * `sealed`: the hosts that the profile's credential may be sent to; NULL where the secret is not stored, so that
 * nobody knows. Says nothing of a profile without a policy. -ENOMEM, or that of the rules.
 */
int policy_advise(const ConfigProfile *profile, const TextList *sealed, const Advice *advice) NODISCARD
        NONNULL(1, 3);
