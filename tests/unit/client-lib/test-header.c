/* Compiled as C89: whoever still writes it can use the library. Runs what needs no broker. */
#include "mcpcred.h"
#include <stdio.h>
#include <string.h>

int main(void)
{
        mcpcred *client = NULL;
        mcpcred_open *request = NULL;
        mcpcred_session *session = NULL;

        if (mcpcred_new(&client) || mcpcred_open_new(&request))
                return 1;
        if (mcpcred_session_open(client, request, &session) != MCPCRED_E_MISUSE || session)
                return 2;
        if (mcpcred_error_exit_status(client) != 2 ||
            strcmp(mcpcred_error_name(client), "Misuse") != 0)
                return 3;
        if (mcpcred_set_runtime(client, "/nonexistent/mcpcred") ||
            mcpcred_connect(client) != MCPCRED_E_UNREACHABLE)
                return 4;
        if (mcpcred_error_exit_status(client) != 7 || !*mcpcred_error_message(client))
                return 5;
        mcpcred_open_free(request);
        mcpcred_free(client);
        return mcpcred_free(NULL) == NULL ? 0 : 6;
}
