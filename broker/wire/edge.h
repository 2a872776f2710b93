#pragma once
/* The edges between the roles, and no others. Which one a message came over is who is speaking. */

typedef enum Role {
        ROLE_SUPERVISOR,
        ROLE_GATE,
        ROLE_SESSION,
        ROLE_VAULT,
        ROLE_KEYRING,
        ROLE_PROVIDER,
        ROLE_EGRESS,
        _ROLE_N,
} Role;

extern const char *const role_names[];
