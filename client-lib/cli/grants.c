#include "cli.h"
#include <string.h>

/* The scope options hold for each profile that is named. */
static int narrow(mcpcred_open *request, const Texts *repositories, const Texts *permissions,
                  const char **ret_bad)
{
        char name[128];
        int r = MCPCRED_OK;

        for (size_t i = 0; r == MCPCRED_OK && i < repositories->n; i++) {
                *ret_bad = repositories->items[i];
                r = mcpcred_open_repository(request, *ret_bad);
        }
        for (size_t i = 0; r == MCPCRED_OK && i < permissions->n; i++) {
                const char *colon = strchr(permissions->items[i], ':');

                *ret_bad = permissions->items[i];
                if (!colon || (size_t)(colon - *ret_bad) >= sizeof(name))
                        return MCPCRED_E_MISUSE;
                (void)snprintf(name, sizeof(name), "%.*s", (int)(colon - *ret_bad), *ret_bad);
                r = mcpcred_open_permission(request, name, colon + 1);
        }
        return r;
}

int add_grants(mcpcred_open *request, const char *profiles, const Texts *repositories,
               const Texts *permissions, const char **ret_bad)
{
        _cleanup_(free_memory) char *copy = strdup(profiles);
        char *rest = copy, *name;
        int r = copy ? MCPCRED_OK : MCPCRED_E_NO_MEMORY;

        while (r == MCPCRED_OK && (name = strsep(&rest, ","))) {
                *ret_bad = profiles;
                r = mcpcred_open_grant(request, name);
                if (r == MCPCRED_OK)
                        r = narrow(request, repositories, permissions, ret_bad);
        }
        return r;
}
