#include "providers/provider.h"

static const Provider *const providers[] = {
        &provider_github_app,
        &provider_github_pat,
        &provider_gitlab,
        &provider_cloudflare,
        &provider_static,
        &provider_webhook,
};

const Provider *provider_find(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(providers); i++)
                if (strcmp(providers[i]->name, name) == 0)
                        return providers[i];
        return NULL;
}
