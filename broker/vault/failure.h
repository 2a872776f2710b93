#pragma once
/* Why an operation of the vault did not succeed, in a form that outlives the reply it came from. */
#include "ipc/channel.h"

typedef struct Failure {
        Fault fault; /* FAULT_NONE: it succeeded */
        char message[FAULT_MESSAGE_MAX];
        char remedy[FAULT_MESSAGE_MAX];
        char field[128];
        uint64_t retry_after_usec;
} Failure;

/* `format` NULL: the fault's own sentence. Cut at a character's boundary when it is too long. */
void failure_set(Failure *failure, Fault fault, const char *format, ...) NONNULL(1) PRINTF_LIKE(3, 4);
/* What a sibling role answered; FAULT_NONE for a reply with a body. */
void failure_from_reply(Failure *failure, const Reply *reply) NONNULL(1, 2);
/* Answers the request with it and frees the request. */
int failure_answer(const Failure *failure, Request *request) NODISCARD NONNULL(1, 2);

static inline bool failed(const Failure *failure)
{
        return failure->fault != FAULT_NONE;
}
