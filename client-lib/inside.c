#include "client.h"
#include "runtime.h"
#include "base/ident.h"
#include "base/text.h"
#include <string.h>
#include <sys/stat.h>

int mcpcred_in_session(void)
{
        return secure_getenv("MCPCRED_FD") != NULL ||
               (secure_getenv("MCPCRED_SOCK") != NULL && secure_getenv("MCPCRED_SESSION") != NULL);
}

/* The descriptor that the environment names, if it is a socket. */
static bool inherited_socket(int *ret)
{
        const char *text = secure_getenv("MCPCRED_FD");
        struct stat st;
        uint64_t fd;

        if (!text || text_parse_u64(text, &fd) || fd > INT32_MAX || fstat((int)fd, &st) < 0 ||
            !S_ISSOCK(st.st_mode))
                return false;
        *ret = (int)fd;
        return true;
}

int inside_reach_path(mcpcred *client, Link *link, const char *path, bool lax, Slice secret,
                      Arena *arena, Secret **ret_secret)
{
        int r = runtime_connect_path(path, client->deadline_ms, lax, &link->fd);

        if (r == RUNTIME_E_FOREIGN_SERVER)
                return client_fail(client, MCPCRED_E_UNTRUSTED,
                                   "What listens at %s is the process of another user.", path);
        if (r)
                return client_fail(client, MCPCRED_E_UNREACHABLE, "%s: %s.", path,
                                   strerrordesc_np(-r));
        r = secret_from_bytes(ret_secret, arena, secret);
        return r ? client_fail_errno(client, r, "keep the session's secret") : 0;
}

int inside_reach(mcpcred *client, Link *link, Arena *arena, Secret **ret_secret)
{
        const char *path = secure_getenv("MCPCRED_SOCK"),
                   *secret = secure_getenv("MCPCRED_SESSION");

        if (inherited_socket(&link->fd)) {
                link->borrowed = true;
                return 0;
        }
        if (!path || !secret)
                return client_fail(client, MCPCRED_E_UNREACHABLE,
                                   "This is not a session: MCPCRED_FD, or MCPCRED_SOCK with "
                                   "MCPCRED_SESSION, is not set.");
        return inside_reach_path(client, link, path, true, slice_text(secret), arena, ret_secret);
}
