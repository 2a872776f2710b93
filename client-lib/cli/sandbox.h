#pragma once
/*
 * exec's command in bubblewrap, without a network: the session accepts from sockets in the
 * command's own network namespace.
 *
 * The child makes user and network namespace, binds there, hands the sockets over and waits; exec
 * hands them to the session; the child runs bubblewrap, which makes all other namespaces and runs
 * this program once more inside; that says that it is there and, on exec's word, runs the command.
 * So a failure at any step is told from the command's own end, and no signal is lost.
 */
#include "exec_child.h"
#include "sandbox_command.h"

typedef struct SandboxOptions {
        bool wanted;
        Texts writable, readable, arguments;
        const char *bubblewrap;
} SandboxOptions;

typedef struct Sandbox {
        Cli *cli;
        const SandboxOptions *options;
        const char *bubblewrap;
        Places places;
        SandboxBind *binds;
        size_t n_binds;
        SandboxFiles files;
        bool apart;
} Sandbox;

/* Finds out what the sandbox will be, before there is a session. 0, or the status of what it has
 * complained of. sandbox_free() in any case. */
int sandbox_prepare(Sandbox *sandbox, Cli *cli, const SandboxOptions *options);
/* Sets what has to differ inside: HOME and TMPDIR. False: there is no memory. */
bool sandbox_adapt_environment(const Sandbox *sandbox, ExecEnv *env);
/* As exec_child_run(), but it complains by itself and returns the status to exit with. */
int sandbox_run(Sandbox *sandbox, const ExecChild *child, const mcpcred_session *session,
                void (*started)(void *userdata), void *userdata);
void sandbox_free(Sandbox *sandbox);

/* What this program does inside; returns only where the command did not run. */
int sandbox_inner(int argc, char **argv);
