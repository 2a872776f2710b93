#include "supervisor/roles.h"
#include <stdio.h>
#include <unistd.h>

int roles_init(Roles *roles, const RolesConfig *config)
{
        *roles = ROLES_NULL;
        for (Role role = ROLE_GATE; role < _ROLE_N; role++)
                if (asprintf(&roles->commands[role].executable, "%s/mcpcred-%s",
                             config->libexec_directory, role_names[role]) < 0) {
                        roles->commands[role].executable = NULL;
                        return -ENOMEM;
                }
        roles->state_directory = strdup(config->state_directory);
        if (!roles->state_directory)
                return -ENOMEM;
        if ((config->dbus_address ? asprintf(&roles->dbus_address, "DBUS_SESSION_BUS_ADDRESS=%s",
                                             config->dbus_address)
                                  : asprintf(&roles->dbus_address,
                                             "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/%u/bus",
                                             (unsigned)geteuid())) < 0) {
                roles->dbus_address = NULL;
                return -ENOMEM;
        }
        if (asprintf(&roles->runtime_home, "XDG_RUNTIME_DIR=/run/user/%u", (unsigned)geteuid()) <
            0) {
                roles->runtime_home = NULL;
                return -ENOMEM;
        }
        if (config->credentials_directory &&
            asprintf(&roles->credentials, "CREDENTIALS_DIRECTORY=%s",
                     config->credentials_directory) < 0) {
                roles->credentials = NULL;
                return -ENOMEM;
        }
        roles->environment[0] = roles->keyring_environment[0] = "PATH=/usr/bin:/bin";
        roles->environment[1] = roles->keyring_environment[1] = "LC_ALL=C.UTF-8";
        roles->keyring_environment[2] = roles->dbus_address;
        roles->keyring_environment[3] = roles->runtime_home;
        roles->keyring_environment[4] = roles->credentials;
        return 0;
}

static bool reaches_upstreams(Role role)
{
        return role == ROLE_PROVIDER || role == ROLE_EGRESS;
}

void roles_configure(Roles *roles, const Config *config)
{
        for (Role role = ROLE_GATE; role < _ROLE_N; role++) {
                const char **arguments = roles->commands[role].arguments;
                size_t n = 0;

                /* The name without the directory: "mcpcred-vault". */
                arguments[n++] = strrchr(roles->commands[role].executable, '/') + 1;
                if (role == ROLE_VAULT || role == ROLE_KEYRING) {
                        arguments[n++] = "--state";
                        arguments[n++] = roles->state_directory;
                }
                if (reaches_upstreams(role) && config->ca_file) {
                        arguments[n++] = "--ca-file";
                        arguments[n++] = config->ca_file;
                }
                if (reaches_upstreams(role) && config->upstream_proxy) {
                        arguments[n++] = "--upstream-proxy";
                        arguments[n++] = config->upstream_proxy;
                }
                if (!config->require_landlock)
                        arguments[n++] = "--allow-no-landlock";
                arguments[n] = NULL;
        }
}

void roles_deinit(Roles *roles)
{
        for (Role role = ROLE_GATE; role < _ROLE_N; role++)
                free(roles->commands[role].executable);
        free(roles->state_directory);
        free(roles->dbus_address);
        free(roles->credentials);
        free(roles->runtime_home);
        *roles = ROLES_NULL;
}
