#include "session/session.h"
#include "wire/json.h"
#include <stdio.h>

/* Tokens on their way, one reply at a time and of SECRET_MAX at most, once more as much for what else comes
 * with them, and what calls present of MCPCRED_SESSION. The handles of sixteen grants and the leaf's key are
 * little beside that; and all of it is locked, in each session's process. */
#define ARENA_SIZE (160U * 1024U)

static int prepare(UNUSED RoleProcess *role, UNUSED void *userdata)
{
        int r = json_setup();

        return r < 0 ? r : tls_setup();
}

int main(int argc, char **argv)
{
        SessionProcess session = { 0 };
        RoleConfig config = {
                .profile = &harden_profile_session,
                .require_landlock = true,
                .arena_size = ARENA_SIZE,
                .in = &interface_to_session,
                .out = &interface_from_session,
                .handler = session_handle,
                .prepare = prepare,
                .started = session_start,
                .stopped = session_stop,
                .userdata = &session,
        };

        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--allow-no-landlock") != 0) {
                        fprintf(stderr, "mcpcred-session: is started by mcpcredd alone\n");
                        return 2;
                }
                config.require_landlock = false;
        }
        return role_run(&session.role, &config);
}
