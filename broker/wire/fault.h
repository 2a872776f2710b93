#pragma once
/*
 * What can go wrong, as the outside sees it: one code for the wire, for varlink, for the exit status
 * of the command, and a remedy for the reader. Codes are stable; new ones are added at the end.
 */
#include "base/macros.h"

typedef enum Fault {
        FAULT_NONE,
        FAULT_INTERNAL,            /* a defect or a failed system call on our side */
        FAULT_INVALID_PARAMETER,   /* a field is missing, malformed, too long or unknown */
        FAULT_METHOD_NOT_FOUND,
        FAULT_INTERFACE_NOT_FOUND,
        FAULT_NOT_ALLOWED,         /* the peer may not ask this at all (identity) */
        FAULT_POLICY_DENIED,       /* the profile does not give this */
        FAULT_NOT_FOUND,           /* no such secret, profile, session or lease */
        FAULT_EXISTS,
        FAULT_EXPIRED,             /* the session or lease is over */
        FAULT_REVOKED,
        FAULT_BUSY,                /* a limit of the caller's is reached, or the thing is in use */
        FAULT_UNAVAILABLE,         /* a role is restarting; ask again */
        FAULT_TIMEOUT,
        FAULT_AUDIT_UNAVAILABLE,   /* it cannot be audited, so nothing is issued */
        FAULT_KEYRING_ABSENT,      /* no Secret Service on this machine's bus */
        FAULT_KEYRING_LOCKED,
        FAULT_KEYRING_HUNG,        /* it did not answer in time */
        FAULT_KEYRING_FAILED,      /* it answered with an error of its own */
        FAULT_STORE_DAMAGED,       /* the sealed file or an item does not decrypt or parse */
        FAULT_ROLLBACK,            /* the store or the state is an older copy */
        FAULT_WRONG_PASSPHRASE,
        FAULT_UPSTREAM_ROOT_INVALID, /* the upstream refuses the long-lived secret */
        FAULT_UPSTREAM_DENIED,     /* the secret lacks the right */
        FAULT_UPSTREAM_NO_TARGET,  /* no such installation, project, account */
        FAULT_UPSTREAM_BAD_SCOPE,  /* the upstream refuses the scope asked for */
        FAULT_UPSTREAM_RATE_LIMITED,
        FAULT_UPSTREAM_UNREACHABLE, /* no connection was made, so nothing happened there */
        FAULT_UPSTREAM_UNKNOWN,    /* the reply was lost or senseless: it may have happened */
        FAULT_UPSTREAM_GONE,       /* what was to be revoked is dead already */
        FAULT_NEEDS_HUMAN,         /* cannot be mended by asking again */
        FAULT_UNSUPPORTED,         /* this provider or build cannot do it */
        FAULT_CONFIG_INVALID,
        _FAULT_N,
} Fault;

typedef struct FaultInfo {
        const char *name;     /* varlink error, without the interface's name */
        int exit_status;      /* of the `mcpcred` command */
        const char *sentence; /* what happened, when nothing more precise is known */
        const char *remedy;   /* what to do */
} FaultInfo;

/* Never NULL; an unknown code reads as FAULT_INTERNAL. */
const FaultInfo *fault_info(Fault fault);
/* FAULT_INTERNAL for a name that is not one. */
Fault fault_by_name(const char *name);
