/*
 * mcpcred-egress: the way out of one profile. It holds the credentials of the profile's sessions, it has
 * the network, and nothing else.
 */
#include "base/text.h"
#include "egress/egress.h"
#include "egress/resolver_paths.h"
#include <getopt.h>
#include <signal.h>
#include <stdio.h>

/* A credential and what is looked for in responses, for some hundreds of sessions. */
#define ARENA_SIZE (1024U * 1024U)

static const EgressTimeouts timeouts_default = {
        .connect_usec = 10 * USEC_PER_SEC,
        .head_usec = 60 * USEC_PER_SEC,
        .stall_usec = 60 * USEC_PER_SEC,
        .idle_usec = 300 * USEC_PER_SEC,
};

/* Before confinement: OpenSSL's configuration, the roots and what is random are read here. */
static int prepare(UNUSED RoleProcess *role, void *userdata)
{
        EgressProcess *process = userdata;
        int r;

        r = connector_global_init();
        if (r < 0)
                return r;
        r = trust_new(&process->trust, process->ca_file);
        if (r < 0)
                fprintf(stderr, "mcpcred-egress: cannot read the CA certificates%s%s\n",
                        process->ca_file ? " or " : "", process->ca_file ? process->ca_file : "");
        return r;
}

static bool parse_msec(const char *text, uint64_t *ret_usec)
{
        uint64_t value;

        if (text_parse_u64(text, &value) || value == 0 || value > 3600 * 1000)
                return false;
        *ret_usec = value * USEC_PER_MSEC;
        return true;
}

static bool parse_arguments(int argc, char **argv, EgressProcess *process, RoleConfig *config)
{
        enum { OPT_CA = 1, OPT_PROXY, OPT_CONNECT, OPT_HEAD, OPT_STALL, OPT_IDLE, OPT_NO_LANDLOCK };
        static const struct option options[] = {
                { "ca-file", required_argument, NULL, OPT_CA },
                { "upstream-proxy", required_argument, NULL, OPT_PROXY },
                { "connect-timeout-ms", required_argument, NULL, OPT_CONNECT },
                { "head-timeout-ms", required_argument, NULL, OPT_HEAD },
                { "stall-timeout-ms", required_argument, NULL, OPT_STALL },
                { "idle-timeout-ms", required_argument, NULL, OPT_IDLE },
                { "allow-no-landlock", no_argument, NULL, OPT_NO_LANDLOCK },
                { 0 },
        };
        EgressTimeouts *timeouts = &process->timeouts;
        int option;
        bool ok = true;

        while (ok && (option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                if (option == OPT_CA)
                        process->ca_file = optarg;
                else if (option == OPT_PROXY)
                        process->proxy = optarg;
                else if (option == OPT_CONNECT)
                        ok = parse_msec(optarg, &timeouts->connect_usec);
                else if (option == OPT_HEAD)
                        ok = parse_msec(optarg, &timeouts->head_usec);
                else if (option == OPT_STALL)
                        ok = parse_msec(optarg, &timeouts->stall_usec);
                else if (option == OPT_IDLE)
                        ok = parse_msec(optarg, &timeouts->idle_usec);
                else if (option == OPT_NO_LANDLOCK)
                        config->require_landlock = false;
                else
                        ok = false;
        }
        return ok && optind == argc;
}

int main(int argc, char **argv)
{
        EgressProcess process = { .timeouts = timeouts_default };
        ResolverPaths paths;
        RoleConfig config = {
                .profile = &harden_profile_egress,
                .require_landlock = true,
                .arena_size = ARENA_SIZE,
                .in = &interface_to_worker,
                .out = &interface_from_worker,
                .handler = egress_handle,
                .prepare = prepare,
                .started = egress_start,
                .stopped = egress_stop,
                .userdata = &process,
        };

        if (!parse_arguments(argc, argv, &process, &config)) {
                fprintf(stderr, "usage: mcpcred-egress [--ca-file FILE] [--upstream-proxy URL] [--connect-timeout-ms N] "
                                "[--head-timeout-ms N] [--stall-timeout-ms N] [--idle-timeout-ms N] "
                                "[--allow-no-landlock]\n");
                return 2;
        }
        /* A proxy, a resolver's option, a key log, an OpenSSL module: nothing of that comes from here. */
        if (clearenv() != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return 1;
        resolver_paths_find(&paths);
        config.paths = paths.items;
        config.n_paths = paths.n;
        return role_run(&process.role, &config);
}
