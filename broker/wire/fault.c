#include "wire/fault.h"
#include <string.h>

/* Exit statuses: 0 done, 1 failed, 2 usage, 4 keyring, 5 denied, 6 no such thing, 7 unreachable. */
static const FaultInfo table[_FAULT_N] = {
        [FAULT_NONE] = { "None", 0, "Done.", "" },
        [FAULT_INTERNAL] = { "Internal", 1, "The broker failed at this.",
                             "See the broker's log; `mcpcred doctor` checks the parts." },
        [FAULT_INVALID_PARAMETER] = { "InvalidParameter", 2, "A parameter is not valid.",
                                      "Correct that, and ask again." },
        [FAULT_METHOD_NOT_FOUND] = { "MethodNotFound", 2, "There is no such method.",
                                     "Client and broker may be of different versions." },
        [FAULT_INTERFACE_NOT_FOUND] = { "InterfaceNotFound", 2, "There is no such interface here.",
                                        "GetInfo lists the interfaces of this socket." },
        [FAULT_NOT_ALLOWED] = { "NotAllowed", 5, "This process may not talk to the broker here.",
                                "Ask as the owner of the broker, outside any sandbox." },
        [FAULT_POLICY_DENIED] = { "PolicyDenied", 5, "The profile does not allow this.",
                                  "`mcpcred profile NAME` shows what the profile gives." },
        [FAULT_NOT_FOUND] = { "NotFound", 6, "There is no such thing.",
                              "`mcpcred list`, `profile`, `sessions --all` and `leak list --all` show what there is." },
        [FAULT_EXISTS] = { "Exists", 1, "It exists already.",
                           "Choose another name, or put it in the place of the old one: `mcpcred rotate`, `mcpcred add --replace`." },
        [FAULT_EXPIRED] = { "Expired", 5, "Its lifetime is over.", "Open a new session." },
        [FAULT_REVOKED] = { "Revoked", 5, "It has been revoked.", "Open a new session." },
        [FAULT_BUSY] = { "Busy", 1, "Too much is under way.", "Wait for what is running, then ask again." },
        [FAULT_UNAVAILABLE] = { "Unavailable", 7, "A part of the broker is restarting.", "Ask again in a moment." },
        [FAULT_TIMEOUT] = { "Timeout", 1, "It took too long.", "Ask again; `mcpcred doctor` checks the parts." },
        [FAULT_AUDIT_UNAVAILABLE] = { "AuditUnavailable", 1,
                                      "The audit log cannot be written, so nothing is issued.",
                                      "Free space on the disk of the state directory." },
        [FAULT_KEYRING_ABSENT] = { "KeyringAbsent", 4, "No keyring answers on the session bus.",
                                   "Start gnome-keyring or KeePassXC, or set `store = sealed-file`." },
        [FAULT_KEYRING_LOCKED] = { "KeyringLocked", 4, "The keyring is locked.",
                                   "Unlock it (log in at the desktop, or `mcpcred unlock` for a sealed file)." },
        [FAULT_KEYRING_HUNG] = { "KeyringHung", 4, "The keyring does not answer.",
                                 "Restart the keyring daemon; the broker connects again by itself." },
        [FAULT_KEYRING_FAILED] = { "KeyringFailed", 4, "The keyring answered with an error.",
                                   "`mcpcred doctor` shows what it said." },
        [FAULT_STORE_DAMAGED] = { "StoreDamaged", 4, "What the store holds cannot be read.",
                                  "Restore it from a copy, or add the secret again." },
        [FAULT_ROLLBACK] = { "Rollback", 4, "The store or the state is an older copy of itself.",
                             "Put the newer copy back, or add the secret again to accept this one." },
        [FAULT_WRONG_PASSPHRASE] = { "WrongPassphrase", 4, "The passphrase does not open the store.", "Try again." },
        [FAULT_UPSTREAM_ROOT_INVALID] = { "UpstreamRootInvalid", 1, "The upstream refuses the secret.",
                                          "Check it and its IDs; to replace one that is stored, `mcpcred rotate NAME`." },
        [FAULT_UPSTREAM_DENIED] = { "UpstreamDenied", 5, "The upstream says that the secret lacks the right.",
                                    "Grant it there, or ask for less." },
        [FAULT_UPSTREAM_NO_TARGET] = { "UpstreamNoTarget", 6, "The upstream knows no such target.",
                                       "Check the installation and the names in the profile." },
        [FAULT_UPSTREAM_BAD_SCOPE] = { "UpstreamBadScope", 5, "The upstream refuses this scope.",
                                       "Ask only for what the installation itself was given." },
        [FAULT_UPSTREAM_RATE_LIMITED] = { "UpstreamRateLimited", 1, "The upstream's rate limit is reached.",
                                          "Wait until the time that is named." },
        [FAULT_UPSTREAM_UNREACHABLE] = { "UpstreamUnreachable", 1, "The upstream cannot be reached.",
                                         "Check the network, the base URL, and `ca_file` for a private CA." },
        [FAULT_UPSTREAM_UNKNOWN] = { "UpstreamUnknown", 1, "The upstream's reply was lost or made no sense.",
                                     "Nothing was delivered. `mcpcred leases` shows what may be alive there." },
        [FAULT_UPSTREAM_GONE] = { "UpstreamGone", 1, "It is dead at the upstream already.", "Nothing needs doing." },
        [FAULT_NEEDS_HUMAN] = { "NeedsHuman", 1, "This cannot be mended by trying again.",
                                "Follow what the message says, at the upstream." },
        [FAULT_UNSUPPORTED] = { "Unsupported", 2, "This cannot be done here.", "" },
        [FAULT_CONFIG_INVALID] = { "ConfigInvalid", 2, "The configuration is not valid.",
                                   "`mcpcred doctor` names each file and line." },
};

const FaultInfo *fault_info(Fault fault)
{
        if ((unsigned)fault >= _FAULT_N)
                fault = FAULT_INTERNAL;
        return &table[fault];
}

Fault fault_by_name(const char *name)
{
        for (unsigned i = 0; i < _FAULT_N; i++)
                if (strcmp(table[i].name, name) == 0)
                        return (Fault)i;
        return FAULT_INTERNAL;
}
