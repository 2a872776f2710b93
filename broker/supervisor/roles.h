#pragma once
/* What each role is started as: its executable, argv and environment. */
#include "supervisor/config.h"

typedef struct RoleCommand {
        char *executable;
        const char *arguments[8]; /* borrowed from here, from Roles and from the Config */
} RoleCommand;

typedef struct Roles {
        RoleCommand commands[_ROLE_N]; /* none for ROLE_SUPERVISOR */
        char *state_directory;
        char *credentials;                  /* "CREDENTIALS_DIRECTORY=...", or NULL */
        char *dbus_address;                 /* "DBUS_SESSION_BUS_ADDRESS=..." */
        char *runtime_home;                 /* "XDG_RUNTIME_DIR=..." */
        const char *environment[4];         /* of all roles but one */
        const char *keyring_environment[6]; /* which looks for the Secret Service */
} Roles;

#define ROLES_NULL ((Roles){ .state_directory = NULL })

typedef struct RolesConfig {
        const char *libexec_directory; /* absolute */
        const char *state_directory;
        const char *dbus_address; /* NULL: the user's bus at its usual place */
        const char
                *credentials_directory; /* of a systemd unit, for the sealed file's key; or NULL */
} RolesConfig;

int roles_init(Roles *roles, const RolesConfig *config) NODISCARD NONNULL(1, 2);
/* Takes over what argv says of a configuration. It must live until the next call. */
void roles_configure(Roles *roles, const Config *config) NONNULL(1, 2);
void roles_deinit(Roles *roles);
