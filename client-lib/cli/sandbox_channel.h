#pragma once
/*
 * What a sandbox's processes say to exec while the sandbox is made, over a SEQPACKET pair whose
 * other end no program ever inherits. Both ends are this program.
 */
#include "sandbox_net.h"
#include <sys/types.h>

typedef enum SandboxStage {
        SANDBOX_SOCKETS,   /* the child has its network namespace; with sockets */
        SANDBOX_FORBIDDEN, /* it may not have one */
        SANDBOX_FAILED,    /* something else went wrong */
        SANDBOX_GO,        /* exec's only word: go on */
        SANDBOX_INSIDE,    /* all namespaces and mounts are made; perhaps with sockets */
        SANDBOX_NO_EXEC,   /* the command cannot be run */
} SandboxStage;

typedef struct SandboxMessage {
        SandboxStage stage;
        int error;              /* errno */
        char step[64];          /* what was being done */
        SandboxSockets sockets; /* the sender's stay its own, the receiver's are the receiver's */
        pid_t pid;              /* of the sender, as the receiver sees it; by the kernel */
} SandboxMessage;

/* A pair; ours tells who sends. 0 or -errno. */
int sandbox_channel_new(int *ret_ours, int *ret_theirs);
/* 0 or -errno. */
int sandbox_channel_send(int channel, const SandboxMessage *message);
/* 0; 1: the other end is closed; -errno. */
int sandbox_channel_receive(int channel, SandboxMessage *ret);
/* Waits for SANDBOX_GO. */
bool sandbox_channel_may_go(int channel);
