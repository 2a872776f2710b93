/*
 * mcpcred-provider: carries out one call of the vault at one upstream, and ends. It holds the proof
 * and the token of that call and nothing else, and it has the network.
 */
#include "base/fd.h"
#include "base/text.h"
#include "ipc/role.h"
#include "providers/https.h"
#include "providers/json.h"
#include "providers/provider.h"
#include <getopt.h>
#include <stdio.h>

/* The proof, the token and their copies in headers: SECRET_MAX each, at most. */
#define ARENA_SIZE (512U * 1024U)
/* What a mint's reply points at: 500 repositories of 200 bytes and the permissions. */
#define POOL_MAX (512U * 1024U)
/* Longer than any upstream takes that still answers. */
#define TIMEOUT_DEFAULT         (30 * USEC_PER_SEC)
#define CONNECT_TIMEOUT_DEFAULT (10 * USEC_PER_SEC)
/* A process that nobody asks anything is one that somebody forgot. */
#define IDLE_MAX (60 * USEC_PER_SEC)

typedef struct ProviderProcess {
        RoleProcess role; /* first */
        const char *ca_file;
        const char *upstream_proxy;
        uint64_t timeout_usec, connect_timeout_usec;
        Buf roots;
        Channel *vault;
        int vault_fd; /* borrowed from `vault`, to see it hang up */
        Timer *idle;
        bool served;
} ProviderProcess;

/* Lets go of what hangs on the loop, and ends it; safe inside the callbacks of both. */
static void finish(ProviderProcess *process)
{
        process->vault = channel_free(process->vault);
        process->idle = timer_free(process->idle);
        loop_exit(process->role.loop, 0);
}

/* ---- one call ---- */

typedef union Answer {
        ProviderVerifyReply verify;
        ProviderMintReply mint;
        ProviderRevokeReply revoke; /* of a token, and of a secret */
        ProviderRotateReply rotate;
        ProviderAbandonReply abandon;
        ProviderRevokeSecretsReply revoke_secrets;
} Answer;

static int run_mint(const Provider *provider, Operation *operation,
                    const ProviderMintRequest *request, ProviderMintReply *reply)
{
        const char *problem, *field;

        if (!provider->mint)
                return operation_fail(operation, FAULT_UNSUPPORTED,
                                      "%s: nothing can be minted of it.", operation->info->title);
        problem = provider_check_scope(operation->info, request->scope, &field);
        if (problem)
                return operation_fail_field(operation, "scope.", field, problem);
        return provider->mint(operation, request, reply);
}

static int run_revoke_secrets(const Provider *provider, Operation *operation, const ProviderRevokeSecretsRequest *request,
                              ProviderRevokeSecretsReply *reply)
{
        int r;

        if (!provider->revoke_secrets)
                return operation_fail(operation, FAULT_UNSUPPORTED, "%s: its values cannot be ended together.",
                                      operation->info->title);
        if (request->secrets.n == 0 || request->calls_max == 0)
                return operation_fail_field(operation, "", request->calls_max == 0 ? "calls_max" : "secrets",
                                            "it must not be nothing");
        reply->ends.n = request->secrets.n;
        r = pool_alloc(operation->pool, reply->ends.n * sizeof(ProviderSecretEnd), &reply->ends.items);
        return r < 0 ? r : provider->revoke_secrets(operation, request, reply);
}

static int run(const Provider *provider, Operation *operation, const Request *request,
               Answer *answer)
{
        switch ((ProviderMethod)request->id) {
        case PROVIDER_VERIFY:
                if (!provider->verify)
                        return operation_fail(operation, FAULT_UNSUPPORTED,
                                              "%s: it cannot be checked.", operation->info->title);
                return provider->verify(operation, &answer->verify);
        case PROVIDER_MINT:
                return run_mint(provider, operation, request->body, &answer->mint);
        case PROVIDER_REVOKE:
                if (!provider->revoke)
                        return operation_fail(operation, FAULT_UNSUPPORTED,
                                              "%s: only its owner can revoke it, upstream.",
                                              operation->info->title);
                return provider->revoke(operation, request->body, &answer->revoke);
        case PROVIDER_ROTATE:
                if (!provider->rotate)
                        return operation_fail(operation, FAULT_UNSUPPORTED, "%s: a new one has to be made by hand.",
                                              operation->info->title);
                return provider->rotate(operation, request->body, &answer->rotate);
        case PROVIDER_REVOKE_SECRET:
                if (!provider->revoke_secret)
                        return operation_fail(operation, FAULT_UNSUPPORTED, "%s: only its owner can end it, upstream.",
                                              operation->info->title);
                return provider->revoke_secret(operation, request->body, &answer->revoke);
        case PROVIDER_ABANDON:
                if (!provider->abandon)
                        return operation_fail(operation, FAULT_UNSUPPORTED, "%s: what was made cannot be looked for.",
                                              operation->info->title);
                return provider->abandon(operation, request->body, &answer->abandon);
        case PROVIDER_REVOKE_SECRETS:
                return run_revoke_secrets(provider, operation, request->body, &answer->revoke_secrets);
        }
        return -ENOTRECOVERABLE;
}

/* What can be refused without asking anybody. */
static int check_upstream(Operation *operation, bool wants_proof)
{
        const Upstream *upstream = operation->upstream;
        const char *problem, *field, *base_url;

        problem = provider_check_parameters(operation->info, &upstream->parameters, &field);
        if (problem)
                return operation_fail_field(operation, "parameters.", field, problem);
        base_url = operation_base_url(operation);
        problem = base_url ? provider_check_base_url(base_url) : NULL;
        if (problem)
                return operation_fail_field(operation, "", "base_url", problem);
        if (wants_proof && operation->info->proof != PROVIDER_PROOF_NONE && !upstream->proof)
                return operation_fail(operation, FAULT_INVALID_PARAMETER, "The proof is missing.");
        return 0;
}

static const Upstream *upstream_of(const Request *request)
{
        switch ((ProviderMethod)request->id) {
        case PROVIDER_VERIFY:
                return ((const ProviderVerifyRequest *)request->body)->upstream;
        case PROVIDER_MINT:
                return ((const ProviderMintRequest *)request->body)->upstream;
        case PROVIDER_REVOKE:
                return ((const ProviderRevokeRequest *)request->body)->upstream;
        case PROVIDER_ROTATE:
                return ((const ProviderRotateRequest *)request->body)->upstream;
        case PROVIDER_REVOKE_SECRET:
                return ((const ProviderRevokeSecretRequest *)request->body)->upstream;
        case PROVIDER_ABANDON:
                return ((const ProviderAbandonRequest *)request->body)->upstream;
        case PROVIDER_REVOKE_SECRETS:
                return ((const ProviderRevokeSecretsRequest *)request->body)->upstream;
        }
        return NULL;
}

static bool wants_proof(ProviderMethod method)
{
        return method != PROVIDER_REVOKE && method != PROVIDER_REVOKE_SECRET && method != PROVIDER_REVOKE_SECRETS;
}

static int dispatch(Operation *operation, const Request *request, Answer *answer)
{
        const Provider *provider;
        int r;

        if (!operation->upstream)
                return -ENOTRECOVERABLE;
        provider = provider_find(operation->upstream->provider);
        operation->info = provider_info(operation->upstream->provider);
        if (!provider || !operation->info)
                return operation_fail(operation, FAULT_UNSUPPORTED,
                                      "There is no such provider in this build.");
        r = check_upstream(operation, wants_proof((ProviderMethod)request->id));
        return r ? r : run(provider, operation, request, answer);
}

static int refuse(ProviderProcess *process, Request *request, Operation *operation, int error)
{
        /* A defect of ours, after the upstream was asked, loses the reply like any other way to. */
        Fault code = error > 0          ? (Fault)error
                     : operation->asked ? FAULT_UPSTREAM_UNKNOWN
                                        : FAULT_INTERNAL;
        const FaultInfo *info = fault_info(code);
        FaultBody fault = {
                .fault = code,
                .message = error > 0 ? operation->message : info->sentence,
                .remedy = info->remedy,
                .field = *operation->field ? operation->field : NULL,
                .retry_after_usec = operation->retry_after_usec,
        };

        if (error < 0 && error != -ECANCELED)
                role_log(&process->role, LOG_LEVEL_ERROR, "%s failed: %s", request->method->name,
                         strerror(-error));
        return request_fail_body(request, &fault);
}

/* The answer leaves at once, being the only one on this edge; then there is nothing left to do. */
static int serve(ProviderProcess *process, Request *request, Https *https, Pool *pool)
{
        const Clock *clock = loop_clock(process->role.loop);
        Operation operation = {
                .arena = process->role.arena,
                .pool = pool,
                .https = https,
                .clock = clock,
                .upstream = upstream_of(request),
                .deadline_usec = clock_boot(clock) + process->timeout_usec,
        };
        Answer answer = { 0 };
        int r = dispatch(&operation, request, &answer);

        r = r ? refuse(process, request, &operation, r) : request_reply(request, &answer, NULL, 0);
        if (request->id == PROVIDER_MINT)
                secret_free(answer.mint.token);
        if (request->id == PROVIDER_ROTATE)
                secret_free(answer.rotate.secret);
        return r;
}

static int on_call(void *userdata, UNUSED Channel *channel, Request *request)
{
        ProviderProcess *process = userdata;
        _cleanup_(https_freep) Https *https = NULL;
        Pool pool = POOL_NULL(POOL_MAX);
        HttpsConfig config = {
                .roots = buf_slice(&process->roots),
                .watch = { ROLE_SOCKET, process->vault_fd },
                .connect_timeout_usec = process->connect_timeout_usec,
                .upstream_proxy = process->upstream_proxy,
        };
        int r;

        if (process->served)
                return request_fail(request, FAULT_NOT_ALLOWED,
                                    "A provider process takes one call.");
        process->served = true;
        r = https_new(&https, process->role.arena, &config);
        if (r < 0)
                return request_fail(request, FAULT_INTERNAL, NULL);
        r = serve(process, request, https, &pool);
        pool_deinit(&pool);
        finish(process);
        return r;
}

/* ---- the process ---- */

static int on_vault_closed(void *userdata, UNUSED Channel *channel, UNUSED const char *reason)
{
        ProviderProcess *process = userdata;

        finish(process);
        return 0;
}

static int on_attach(void *userdata, UNUSED Channel *channel, Request *request)
{
        ProviderProcess *process = userdata;
        const AttachRequest *attach = request->body;
        ChannelConfig config = {
                .loop = process->role.loop,
                .arena = process->role.arena,
                .in = &interface_provider,
                .handler = on_call,
                .closed = on_vault_closed,
                .userdata = process,
        };
        Empty reply = { 0 };
        int r;

        if (attach->peer != ROLE_VAULT || request->n_fds != 1 || process->vault)
                return request_fail(request, FAULT_INVALID_PARAMETER,
                                    "A provider process has one edge, to the vault.");
        process->vault_fd = request->fds[0];
        config.fd = take_fd(&request->fds[0]);
        r = channel_new(&process->vault, &config);
        if (r < 0)
                return request_fail(request, FAULT_INTERNAL, NULL);
        timer_arm_after(process->idle, IDLE_MAX);
        return request_reply(request, &reply, NULL, 0);
}

static int on_idle(void *userdata)
{
        ProviderProcess *process = userdata;

        finish(process);
        return 0;
}

/* Before confinement: OpenSSL's configuration, the roots and what is random are read here. */
static int prepare(UNUSED RoleProcess *role, void *userdata)
{
        ProviderProcess *process = userdata;
        int r;

        json_global_init();
        r = https_global_init();
        if (r < 0)
                return r;
        r = https_load_roots(&process->roots, process->ca_file);
        if (r < 0)
                fprintf(stderr, "mcpcred-provider: cannot read the CA certificates%s%s\n",
                        process->ca_file ? " or " : "", process->ca_file ? process->ca_file : "");
        return r;
}

static int started(RoleProcess *role, void *userdata)
{
        ProviderProcess *process = userdata;

        return timer_new(&process->idle, role->loop, on_idle, process);
}

static bool parse_msec(const char *text, uint64_t *ret_usec)
{
        uint64_t value;

        if (text_parse_u64(text, &value) || value == 0 || value > 600 * 1000)
                return false;
        *ret_usec = value * USEC_PER_MSEC;
        return true;
}

static bool parse_arguments(int argc, char **argv, ProviderProcess *process, RoleConfig *config)
{
        enum {
                OPTION_CA_FILE = 1,
                OPTION_UPSTREAM_PROXY,
                OPTION_TIMEOUT,
                OPTION_CONNECT_TIMEOUT,
                OPTION_NO_LANDLOCK,
        };
        static const struct option options[] = {
                { "ca-file", required_argument, NULL, OPTION_CA_FILE },
                { "upstream-proxy", required_argument, NULL, OPTION_UPSTREAM_PROXY },
                { "timeout-ms", required_argument, NULL, OPTION_TIMEOUT },
                { "connect-timeout-ms", required_argument, NULL, OPTION_CONNECT_TIMEOUT },
                { "allow-no-landlock", no_argument, NULL, OPTION_NO_LANDLOCK },
                { 0 },
        };
        int option;
        bool ok = true;

        while (ok && (option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                if (option == OPTION_CA_FILE)
                        process->ca_file = optarg;
                else if (option == OPTION_UPSTREAM_PROXY)
                        process->upstream_proxy = optarg;
                else if (option == OPTION_TIMEOUT)
                        ok = parse_msec(optarg, &process->timeout_usec);
                else if (option == OPTION_CONNECT_TIMEOUT)
                        ok = parse_msec(optarg, &process->connect_timeout_usec);
                else if (option == OPTION_NO_LANDLOCK)
                        config->require_landlock = false;
                else
                        ok = false;
        }
        return ok && optind == argc;
}

int main(int argc, char **argv)
{
        ProviderProcess process = {
                .timeout_usec = TIMEOUT_DEFAULT,
                .connect_timeout_usec = CONNECT_TIMEOUT_DEFAULT,
                .vault_fd = -1,
        };
        RoleConfig config = {
                .profile = &harden_profile_provider,
                .require_landlock = true,
                .arena_size = ARENA_SIZE,
                .in = &interface_to_worker,
                .out = &interface_from_worker,
                .handler = on_attach,
                .started = started,
                .prepare = prepare,
                .userdata = &process,
        };
        int status;

        if (!parse_arguments(argc, argv, &process, &config)) {
                fprintf(stderr, "usage: mcpcred-provider [--ca-file FILE] [--upstream-proxy URL] [--timeout-ms N] "
                                "[--connect-timeout-ms N] "
                                "[--allow-no-landlock]\n");
                return 2;
        }
        /* A proxy, a resolver's option, a key log, an OpenSSL module: nothing of that comes from
         * here. */
        if (clearenv() != 0)
                return 1;
        status = role_run(&process.role, &config);
        buf_deinit(&process.roots);
        return status;
}
