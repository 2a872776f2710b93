#include "client.h"
#include <stdarg.h>
#include <stdio.h>

/* A client sees the wire's codes as they are. */
_Static_assert((int)MCPCRED_E_INTERNAL == (int)FAULT_INTERNAL &&
                       (int)MCPCRED_E_NOT_ALLOWED == (int)FAULT_NOT_ALLOWED &&
                       (int)MCPCRED_E_NOT_FOUND == (int)FAULT_NOT_FOUND &&
                       (int)MCPCRED_E_REVOKED == (int)FAULT_REVOKED &&
                       (int)MCPCRED_E_TIMEOUT == (int)FAULT_TIMEOUT &&
                       (int)MCPCRED_E_KEYRING_ABSENT == (int)FAULT_KEYRING_ABSENT &&
                       (int)MCPCRED_E_WRONG_PASSPHRASE == (int)FAULT_WRONG_PASSPHRASE &&
                       (int)MCPCRED_E_UPSTREAM_ROOT_INVALID == (int)FAULT_UPSTREAM_ROOT_INVALID &&
                       (int)MCPCRED_E_UPSTREAM_GONE == (int)FAULT_UPSTREAM_GONE &&
                       (int)MCPCRED_E_CONFIG_INVALID == (int)FAULT_CONFIG_INVALID &&
                       (int)MCPCRED_E_CONFIG_INVALID + 1 == (int)_FAULT_N,
               "mcpcred_code follows Fault");

static const FaultInfo local[] = {
        [MCPCRED_E_UNREACHABLE - 1000] = { "Unreachable", 7, "No broker answers.",
                                           "Start mcpcredd; `mcpcred exec` does it by itself." },
        [MCPCRED_E_UNTRUSTED - 1000] = { "Untrusted", 7, "What answers is not this user's broker.",
                                         "Look at who owns the runtime directory and its socket." },
        [MCPCRED_E_PROTOCOL - 1000] = { "Protocol", 1,
                                        "The broker's answer does not fit the protocol.",
                                        "Client and broker may be of different versions." },
        [MCPCRED_E_DEADLINE - 1000] = { "Deadline", 1, "The broker did not answer in time.",
                                        "`mcpcred doctor` checks its parts." },
        [MCPCRED_E_DROPPED - 1000] = { "Dropped", 7, "The broker closed the connection.",
                                       "Ask again; `mcpcred status` shows what was done." },
        [MCPCRED_E_SYSTEM - 1000] = { "System", 1, "A system call failed.", "" },
        [MCPCRED_E_NO_MEMORY - 1000] = { "NoMemory", 1,
                                         "There is no memory, or none that can be locked.",
                                         "Raise RLIMIT_MEMLOCK (ulimit -l)." },
        [MCPCRED_E_MISUSE - 1000] = { "Misuse", 2,
                                      "The request is not one that a broker would take.", "" },
        [MCPCRED_E_STOPPED - 1000] = { "Stopped", 1, "The caller stopped.", "" },
};

static const FaultInfo *info(int code)
{
        if (code >= 1000 && (size_t)code - 1000 < ARRAY_SIZE(local))
                return &local[code - 1000];
        return fault_info((Fault)code);
}

void client_clear_error(mcpcred *client)
{
        client->code = MCPCRED_OK;
        client->message[0] = client->remedy[0] = client->field[0] = '\0';
        client->retry_after_ms = 0;
}

/* What is shown must stay on its line, whatever a server wrote. */
static void set_text(char *out, size_t size, const char *text)
{
        (void)snprintf(out, size, "%s", text ? text : "");
        for (; *out; out++)
                if ((uint8_t)*out < 0x20 || *out == 0x7f)
                        *out = ' ';
}

int client_fail(mcpcred *client, int code, const char *format, ...)
{
        char message[sizeof(client->message)];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(message, sizeof(message), format, args);
        va_end(args);
        client_clear_error(client);
        client->code = code;
        set_text(client->message, sizeof(client->message),
                 message[0] ? message : info(code)->sentence);
        set_text(client->remedy, sizeof(client->remedy), info(code)->remedy);
        return code;
}

int client_fail_fault(mcpcred *client, const FaultBody *fault)
{
        int code = fault->fault > 0 && fault->fault < _FAULT_N ? (int)fault->fault
                                                               : MCPCRED_E_INTERNAL;

        client_clear_error(client);
        client->code = code;
        set_text(client->message, sizeof(client->message),
                 fault->message && fault->message[0] ? fault->message : info(code)->sentence);
        set_text(client->remedy, sizeof(client->remedy),
                 fault->remedy ? fault->remedy : info(code)->remedy);
        set_text(client->field, sizeof(client->field), fault->field);
        client->retry_after_ms = (fault->retry_after_usec + 999) / 1000;
        return code;
}

int client_fail_errno(mcpcred *client, int r, const char *doing)
{
        if (r == -ENOMEM || r == -ENOBUFS || r > 0)
                return client_fail(client, MCPCRED_E_NO_MEMORY, "There is no memory to %s.", doing);
        return client_fail(client, MCPCRED_E_SYSTEM, "Cannot %s: %s.", doing, strerrordesc_np(-r));
}

int mcpcred_error_code(const mcpcred *client)
{
        return client->code;
}

const char *mcpcred_error_message(const mcpcred *client)
{
        return client->message;
}

const char *mcpcred_error_remedy(const mcpcred *client)
{
        return client->remedy;
}

const char *mcpcred_error_name(const mcpcred *client)
{
        return info(client->code)->name;
}

const char *mcpcred_error_field(const mcpcred *client)
{
        return client->field[0] ? client->field : NULL;
}

uint64_t mcpcred_error_retry_after_ms(const mcpcred *client)
{
        return client->retry_after_ms;
}

int mcpcred_error_exit_status(const mcpcred *client)
{
        return info(client->code)->exit_status;
}
