/* mcpcred-vault: started by the supervisor, see ipc/role.h. */
#include "vault/vault.h"
#include <stdio.h>

/* Room for what is in use at one moment: items being loaded, proofs, tokens in transit. */
#define ARENA_SIZE (2U * 1024U * 1024U)

static int started(UNUSED RoleProcess *role, void *userdata)
{
        return vault_init(userdata);
}

static void stopped(UNUSED RoleProcess *role, void *userdata)
{
        vault_deinit(userdata);
}

static int usage(void)
{
        (void)fputs("mcpcred-vault is a part of mcpcredd and is started by it.\n", stderr);
        return 2;
}

int main(int argc, char **argv)
{
        static Vault vault;
        HardenPath paths[] = { { .write = true } };
        RoleConfig config = {
                .profile = &harden_profile_vault,
                .paths = paths,
                .n_paths = ARRAY_SIZE(paths),
                .require_landlock = true,
                .arena_size = ARENA_SIZE,
                .in = &interface_to_vault,
                .out = &interface_from_vault,
                .handler = vault_on_supervisor,
                .started = started,
                .stopped = stopped,
                .userdata = &vault,
        };

        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--state") == 0 && i + 1 < argc)
                        paths[0].path = vault.state_directory = argv[++i];
                else if (strcmp(argv[i], "--allow-no-landlock") == 0)
                        config.require_landlock = false;
                else
                        return usage();
        }
        if (!vault.state_directory)
                return usage();
        return role_run(&vault.role, &config);
}
