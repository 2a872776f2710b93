#include "gate/gate.h"
#include "wire/json.h"
#include <stdio.h>

/* Replies hold secrets for as long as it takes to write them, one at a time: two full frames. */
#define ARENA_SIZE (512U * 1024U)

static int prepare(UNUSED RoleProcess *role, UNUSED void *userdata)
{
        return json_setup();
}

int main(int argc, char **argv)
{
        Gate gate = { 0 };
        RoleConfig config = {
                .profile = &harden_profile_gate,
                .require_landlock = true,
                .arena_size = ARENA_SIZE,
                .in = &interface_to_gate,
                .out = &interface_from_gate,
                .handler = gate_handle,
                .prepare = prepare,
                .started = gate_start,
                .stopped = gate_stop,
                .userdata = &gate,
        };

        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--allow-no-landlock") != 0) {
                        fprintf(stderr, "mcpcred-gate: is started by mcpcredd alone\n");
                        return 2;
                }
                config.require_landlock = false;
        }
        return role_run(&gate.role, &config);
}
