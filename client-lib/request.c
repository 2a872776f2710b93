#include "client.h"
#include "base/fd.h"
#include "base/text.h"
#include "wire/provider_info.h"
#include "wire/field.h"
#include "wire/preset.h"
#include <fcntl.h>
#include <string.h>

/* What requests are made of lives in a pool; lists grow by being copied there. */
#define REQUEST_POOL_MAX (1024U * 1024U)

static int grow(Pool *pool, const void *items, size_t n, size_t item_size, void **ret)
{
        int r;

        if (n > 0 && (n & (n - 1)) != 0)
                return 0; /* between powers of two there is room */
        r = pool_alloc(pool, (n == 0 ? 1 : 2 * n) * item_size, ret);
        if (r == 0 && n > 0)
                memcpy(*ret, items, n * item_size);
        return r;
}

int texts_append(Pool *pool, TextList *list, const char *text, size_t max)
{
        void *items = list->items;
        int r;

        if (list->n >= max)
                return -E2BIG;
        r = grow(pool, list->items, list->n, sizeof(*list->items), &items);
        if (r < 0)
                return r;
        list->items = items;
        r = pool_text(pool, slice_text(text), &list->items[list->n]);
        if (r == 0)
                list->n++;
        return r;
}

int map_append(Pool *pool, TextMap *map, const char *key, const char *value, size_t max)
{
        void *items = map->items;
        int r;

        for (size_t i = 0; i < map->n; i++)
                if (strcmp(map->items[i].key, key) == 0)
                        return pool_text(pool, slice_text(value), &map->items[i].value);
        if (map->n >= max)
                return -E2BIG;
        r = grow(pool, map->items, map->n, sizeof(*map->items), &items);
        if (r < 0)
                return r;
        map->items = items;
        r = pool_text(pool, slice_text(key), &map->items[map->n].key);
        if (r == 0)
                r = pool_text(pool, slice_text(value), &map->items[map->n].value);
        if (r == 0)
                map->n++;
        return r;
}

/* The first thing that went wrong while a request was made. */
static int remember(int *failed, int r)
{
        int code = r == 0                          ? MCPCRED_OK
                   : r == -ENOMEM || r == -ENOBUFS ? MCPCRED_E_NO_MEMORY
                                                   : MCPCRED_E_MISUSE;

        if (*failed == MCPCRED_OK)
                *failed = code;
        return code;
}

/* ---- opening a session ---- */

struct mcpcred_open {
        Pool pool;
        GrantRequest grants[LIMIT_GRANTS];
        OpenSessionRequest body;
        mcpcred_lifeline lifeline;
        int lifeline_fd;
        int failed;
};

int mcpcred_open_new(mcpcred_open **ret)
{
        mcpcred_open *request = calloc(1, sizeof(*request));

        if (!request)
                return MCPCRED_E_NO_MEMORY;
        request->pool = POOL_NULL(REQUEST_POOL_MAX);
        request->body.grants.items = request->grants;
        request->lifeline_fd = -1;
        *ret = request;
        return MCPCRED_OK;
}

mcpcred_open *mcpcred_open_free(mcpcred_open *request)
{
        if (request) {
                (void)fd_close(request->lifeline_fd);
                pool_deinit(&request->pool);
                free(request);
        }
        return NULL;
}

int mcpcred_open_grant(mcpcred_open *request, const char *profile)
{
        size_t n = request->body.grants.n;
        int r;

        if (n >= LIMIT_GRANTS || !text_is_name(profile))
                return remember(&request->failed, -EINVAL);
        r = pool_text(&request->pool, slice_text(profile), &request->grants[n].profile);
        if (r == 0)
                request->body.grants.n++;
        return remember(&request->failed, r);
}

/* The scope of the grant that was added last. */
static int last_scope(mcpcred_open *request, Scope **ret)
{
        GrantRequest *grant;
        void *scope;
        int r = 0;

        if (request->body.grants.n == 0)
                return -EINVAL;
        grant = &request->grants[request->body.grants.n - 1];
        if (!grant->scope) {
                r = pool_alloc(&request->pool, sizeof(*grant->scope), &scope);
                if (r == 0)
                        grant->scope = scope;
        }
        *ret = grant->scope;
        return r;
}

int mcpcred_open_repository(mcpcred_open *request, const char *repository)
{
        Scope *scope;
        int r = repository && *repository ? last_scope(request, &scope) : -EINVAL;

        if (r == 0)
                r = texts_append(&request->pool, &scope->repositories, repository,
                                 LIMIT_REPOSITORIES);
        return remember(&request->failed, r);
}

int mcpcred_open_permission(mcpcred_open *request, const char *name, const char *level)
{
        Scope *scope;
        int r = name && *name && level && *level ? last_scope(request, &scope) : -EINVAL;

        if (r == 0)
                r = map_append(&request->pool, &scope->permissions, name, level, LIMIT_PERMISSIONS);
        return remember(&request->failed, r);
}

int mcpcred_open_label(mcpcred_open *request, const char *label)
{
        if (!label || strlen(label) > LIMIT_LABEL || !text_is_printable(label))
                return remember(&request->failed, -EINVAL);
        return remember(&request->failed,
                        pool_text(&request->pool, slice_text(label), &request->body.label));
}

int mcpcred_open_lifetime(mcpcred_open *request, uint64_t seconds)
{
        request->body.lifetime = seconds;
        return MCPCRED_OK;
}

int mcpcred_open_lifeline(mcpcred_open *request, mcpcred_lifeline lifeline)
{
        if (lifeline == MCPCRED_LIFELINE_DESCRIPTOR && request->lifeline_fd < 0)
                return remember(&request->failed, -EINVAL);
        request->lifeline = lifeline;
        return MCPCRED_OK;
}

int mcpcred_open_lifeline_fd(mcpcred_open *request, int fd)
{
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        if (copy < 0)
                return remember(&request->failed, error_errno());
        (void)fd_close(request->lifeline_fd);
        request->lifeline_fd = copy;
        return mcpcred_open_lifeline(request, MCPCRED_LIFELINE_DESCRIPTOR);
}

int mcpcred_open_want_descriptor(mcpcred_open *request)
{
        request->body.want_descriptor = true;
        return MCPCRED_OK;
}

/* Leaves room in the message for everything else. */
#define COMMAND_MAX (16U * 1024U)

static bool can_be_pinned(size_t argc, const char *const *argv)
{
        size_t total = 0;

        for (size_t i = 0; i < argc; i++) {
                total += strlen(argv[i]);
                if (strlen(argv[i]) > LIMIT_PATH || !text_is_utf8(slice_text(argv[i])))
                        return false;
        }
        return argc <= LIMIT_ARGV && total <= COMMAND_MAX;
}

int mcpcred_open_command(mcpcred_open *request, size_t argc, const char *const *argv)
{
        int r = 0;

        request->body.command = (TextList){ 0 };
        if (!can_be_pinned(argc, argv))
                return MCPCRED_OK;
        for (size_t i = 0; r == 0 && i < argc; i++)
                r = texts_append(&request->pool, &request->body.command, argv[i], LIMIT_ARGV);
        return remember(&request->failed, r);
}

/* As the broker takes it. */
#define PROXY_ADDRESS_MAX 64U

int mcpcred_open_proxy(mcpcred_open *request, const char *address)
{
        if (!address || !*address || strlen(address) > PROXY_ADDRESS_MAX ||
            !text_is_printable(address))
                return remember(&request->failed, -EINVAL);
        return remember(&request->failed,
                        pool_text(&request->pool, slice_text(address), &request->body.proxy));
}

int mcpcred_open_sandboxed(mcpcred_open *request, int sandboxed)
{
        request->body.sandboxed = sandboxed != 0;
        return MCPCRED_OK;
}

int open_request_get(const mcpcred_open *request, OpenRequest *ret)
{
        if (request->failed)
                return request->failed;
        if (request->body.grants.n == 0)
                return MCPCRED_E_MISUSE;
        *ret = (OpenRequest){ .body = request->body,
                              .lifeline = request->lifeline,
                              .lifeline_fd = request->lifeline_fd };
        return MCPCRED_OK;
}

/* ---- adding a secret ---- */

struct mcpcred_addition {
        Pool pool;
        AddSecretRequest body;
        int failed;
};

int mcpcred_addition_new(mcpcred_addition **ret, const char *name, const char *provider)
{
        mcpcred_addition *addition;

        if (!text_is_name(name) || !text_is_name(provider))
                return MCPCRED_E_MISUSE;
        addition = calloc(1, sizeof(*addition));
        if (!addition)
                return MCPCRED_E_NO_MEMORY;
        addition->pool = POOL_NULL(REQUEST_POOL_MAX);
        if (pool_text(&addition->pool, slice_text(name), &addition->body.name) < 0 ||
            pool_text(&addition->pool, slice_text(provider), &addition->body.provider) < 0) {
                mcpcred_addition_free(addition);
                return MCPCRED_E_NO_MEMORY;
        }
        *ret = addition;
        return MCPCRED_OK;
}

mcpcred_addition *mcpcred_addition_free(mcpcred_addition *addition)
{
        if (addition) {
                pool_deinit(&addition->pool);
                free(addition);
        }
        return NULL;
}

int mcpcred_addition_base_url(mcpcred_addition *addition, const char *url)
{
        if (!url || strlen(url) > LIMIT_URL || !text_is_printable(url))
                return remember(&addition->failed, -EINVAL);
        return remember(&addition->failed,
                        pool_text(&addition->pool, slice_text(url), &addition->body.base_url));
}

int mcpcred_addition_host(mcpcred_addition *addition, const char *host)
{
        if (!host || !*host || !text_is_printable(host))
                return remember(&addition->failed, -EINVAL);
        return remember(&addition->failed,
                        texts_append(&addition->pool, &addition->body.hosts, host, LIMIT_HOSTS));
}

int mcpcred_addition_preset(mcpcred_addition *addition, const char *preset)
{
        const Preset *found = preset ? preset_find(preset) : NULL;
        int r = found && found->hosts[0] ? MCPCRED_OK : MCPCRED_E_MISUSE;

        if (r)
                return remember(&addition->failed, -EINVAL);
        for (size_t i = 0; r == MCPCRED_OK && found->hosts[i]; i++)
                r = mcpcred_addition_host(addition, found->hosts[i]);
        return r;
}

const char *mcpcred_preset_name(size_t index)
{
        return index < n_presets ? presets[index].name : NULL;
}

static mcpcred_renewal public_rotation(ProviderRotation rotation)
{
        switch (rotation) {
        case PROVIDER_ROTATION_CREATE:
                return MCPCRED_RENEWAL_CREATE;
        case PROVIDER_ROTATION_REPLACE:
                return MCPCRED_RENEWAL_REPLACE;
        case PROVIDER_ROTATION_GUIDED:
                break;
        }
        return MCPCRED_RENEWAL_GUIDED;
}

int mcpcred_provider_get(size_t index, mcpcred_provider *ret, size_t size)
{
        const ProviderInfo *info = index < n_provider_infos ? &provider_infos[index] : NULL;
        mcpcred_provider provider;

        if (!info || !ret)
                return MCPCRED_E_MISUSE;
        provider = (mcpcred_provider){
                .name = info->name,
                .title = info->title,
                .base_url = info->base_url,
                .preset = info->preset,
                .verifies = info->can_verify,
                .mints = info->can_mint,
                .revokes = info->can_revoke,
                .ends_secret = info->can_revoke_secret,
                .rotation = public_rotation(info->rotation),
        };
        memset(ret, 0, size);
        memcpy(ret, &provider, MIN(size, sizeof(provider)));
        return MCPCRED_OK;
}

int mcpcred_addition_parameter(mcpcred_addition *addition, const char *key, const char *value)
{
        if (!key || !*key || !value || !text_is_printable(key) || !text_is_printable(value))
                return remember(&addition->failed, -EINVAL);
        return remember(&addition->failed, map_append(&addition->pool, &addition->body.parameters,
                                                      key, value, LIMIT_PARAMETERS));
}

int mcpcred_addition_verify(mcpcred_addition *addition, int verify)
{
        addition->body.verify = verify != 0;
        return MCPCRED_OK;
}

int mcpcred_addition_replace(mcpcred_addition *addition, int replace)
{
        addition->body.replace = replace != 0;
        return MCPCRED_OK;
}

int mcpcred_secret_add(mcpcred *client, const mcpcred_addition *addition,
                       const mcpcred_value *value, mcpcred_row_fn row, void *userdata)
{
        RowTarget target = { .schema = interface_broker.methods[BROKER_ADD_SECRET].reply,
                             .row = row,
                             .userdata = userdata };
        Call call = { CALL(BROKER_ADD_SECRET), .request = &addition->body,
                      .reply = row_target_whole, .userdata = &target };
        _cleanup_(fd_closep) int fd = -1;
        int r;

        client_clear_error(client);
        if (addition->failed)
                return client_fail(client, addition->failed, "%s",
                                   "A name, parameter or host of the secret is not valid.");
        r = value_socket(client, value, &fd);
        if (r)
                return r;
        call.request_fd = fd;
        return call_run(client, &call);
}
