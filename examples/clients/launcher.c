/*
 * launcher PROFILE COMMAND [ARGUMENT...]: what a sandbox launcher does with libmcpcred.
 *     cc -o launcher launcher.c $(pkg-config --cflags --libs mcpcred)
 */
#include <mcpcred.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
        mcpcred *client;
        mcpcred_open *request;
        mcpcred_session *session;
        size_t i;
        pid_t pid;
        int status = 0;

        if (argc < 3 || mcpcred_new(&client) || mcpcred_open_new(&request))
                return 125;
        mcpcred_open_grant(request, argv[1]);
        mcpcred_open_label(request, "launcher example");
        mcpcred_open_command(request, (size_t)argc - 2, (const char *const *)argv + 2);
        if (mcpcred_session_open(client, request, &session)) {
                fprintf(stderr, "%s %s\n", mcpcred_error_message(client), mcpcred_error_remedy(client));
                return 125;
        }
        /* Before the fork: what the library holds is absent in the child. */
        for (i = 0; i < mcpcred_session_environment_count(session); i++)
                setenv(mcpcred_session_environment_name(session, i), mcpcred_session_environment_value(session, i), 1);
        pid = fork();
        if (pid == 0) {
                if (mcpcred_child_mark() == 0)
                        execvp(argv[2], argv + 2);
                _exit(127);
        }
        waitpid(pid, &status, 0);
        mcpcred_session_free(session); /* closes the lifeline, and so ends the session */
        mcpcred_open_free(request);
        mcpcred_free(client);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
