#include "keyring/keyring.h"
#include "base/text.h"
#include <stdio.h>

#define REMEDY_NO_STORE                                                                           \
        "Start gnome-keyring or KeePassXC and open it, or make a sealed file: `mcpcred unlock --create`."

struct Keyring {
        KeyringConfig config;
        Channel *vault;
        Store *current; /* borrowed of config.stores; NULL before the first Open */
        bool is_open;   /* items may be asked for */
};

static Store *find_store(const Keyring *keyring, StoreKind kind)
{
        for (size_t i = 0; i < keyring->config.n_stores; i++)
                if (keyring->config.stores[i]->vtable->kind == kind)
                        return keyring->config.stores[i];
        return NULL;
}

static void log_fault(const Keyring *keyring, const char *what, Fault fault)
{
        char line[128];

        if (!keyring->config.log)
                return;
        (void)snprintf(line, sizeof(line), "%s: %s: %s", what,
                       keyring->current ? store_kind_names[keyring->current->vtable->kind] : "no store",
                       fault_info(fault)->name);
        keyring->config.log(keyring->config.userdata, LOG_LEVEL_WARNING, line);
}

/* Answers with what a store returned that was not 0. */
static int fail(Keyring *keyring, Request *request, int r, const Report *report)
{
        Fault fault = r > 0 ? (Fault)r : FAULT_INTERNAL;
        const FaultInfo *info = fault_info(fault);
        FaultBody body = { .fault = fault, .message = info->sentence, .remedy = info->remedy };

        log_fault(keyring, request->method->name, fault);
        if (r < 0)
                body.message = strerror(-r);
        else if (report->message[0] && text_is_utf8(slice_text(report->message)))
                body.message = report->message;
        if (r > 0 && report->remedy)
                body.remedy = report->remedy;
        return request_fail_body(request, &body);
}

/* ---- which store ---- */

/* Makes it the one that is asked from now on. What another one was unlocked with is forgotten. */
static void adopt(Keyring *keyring, Store *store, bool is_open)
{
        if (keyring->current && keyring->current != store)
                keyring->current->vtable->lock(keyring->current);
        keyring->current = store;
        keyring->is_open = is_open;
}

static int use(Keyring *keyring, StoreKind kind, Report *report)
{
        Store *store = find_store(keyring, kind);
        int r;

        if (!store)
                return store_fail(report, FAULT_UNSUPPORTED, NULL, "This build has no such store.");
        r = store->vtable->open(store, report);
        adopt(keyring, store, r == 0);
        return r;
}

/*
 * The Secret Service where there is one, whatever state it is in; otherwise a sealed file that is
 * there. Where neither is, the sealed file becomes the one that Unlock can create, which a person has
 * to ask for.
 */
static int use_auto(Keyring *keyring, Report *report)
{
        Store *service = find_store(keyring, STORE_SECRET_SERVICE);
        Report absent = { 0 };
        int r = service ? service->vtable->open(service, &absent) : FAULT_KEYRING_ABSENT;

        if (r != FAULT_KEYRING_ABSENT) {
                adopt(keyring, service, r == 0);
                *report = absent;
                return r;
        }
        r = use(keyring, STORE_SEALED_FILE, report);
        if (r != FAULT_KEYRING_ABSENT)
                return r;
        *report = absent;
        report->remedy = REMEDY_NO_STORE;
        return r;
}

static int on_open(Keyring *keyring, Request *request)
{
        const KeyringOpenRequest *open = request->body;
        KeyringOpenReply reply = { 0 };
        Report report = { 0 };
        int r;

        if (open->kind == STORE_AUTO && open->resume == STORE_AUTO)
                r = use_auto(keyring, &report);
        else if (open->kind == STORE_AUTO && open->resume == STORE_MEMORY)
                r = store_fail(&report, FAULT_INVALID_PARAMETER, NULL, "A store in memory cannot be resumed.");
        else
                r = use(keyring, open->kind == STORE_AUTO ? open->resume : open->kind, &report);
        if (r == 0 && keyring->current->vtable->key)
                r = keyring->current->vtable->key(keyring->current, &reply.key, &report);
        if (r)
                return fail(keyring, request, r, &report);
        reply.kind = keyring->current->vtable->kind;
        r = request_reply(request, &reply, NULL, 0);
        secret_free(reply.key);
        return r;
}

static int on_unlock(Keyring *keyring, Request *request)
{
        const KeyringUnlockRequest *unlock = request->body;
        UnlockHow how = { .passphrase = unlock->passphrase, .key = unlock->key, .create = unlock->create };
        KeyringUnlockReply reply = { 0 };
        Store *store = keyring->current;
        Report report = { 0 };
        int r;

        if (!store)
                return request_fail(request, FAULT_KEYRING_LOCKED, "No store has been opened yet.");
        r = store->vtable->unlock(store, &how, &reply.key, &report);
        if (r)
                return fail(keyring, request, r, &report);
        keyring->is_open = true;
        r = request_reply(request, &reply, NULL, 0);
        secret_free(reply.key);
        return r;
}

static int on_lock(Keyring *keyring, Request *request)
{
        Empty reply = { 0 };

        keyring->is_open = false;
        if (keyring->current)
                keyring->current->vtable->lock(keyring->current);
        return request_reply(request, &reply, NULL, 0);
}

/* ---- items ---- */

static int check_item(const Keyring *keyring, const char *name, Report *report)
{
        if (!text_is_name(name) && strcmp(name, KEYRING_ROOT_ITEM) != 0)
                return store_fail(report, FAULT_INVALID_PARAMETER, NULL, "This is no name of an item.");
        if (!keyring->is_open)
                return store_fail(report, FAULT_KEYRING_LOCKED, NULL, "The store is not open.");
        return 0;
}

static int on_load(Keyring *keyring, Request *request)
{
        const KeyringItemRequest *item = request->body;
        KeyringLoadReply reply = { 0 };
        Report report = { 0 };
        int r = check_item(keyring, item->name, &report);

        if (r == 0)
                r = keyring->current->vtable->load(keyring->current, item->name, &reply.value, &report);
        if (r)
                return fail(keyring, request, r, &report);
        r = request_reply(request, &reply, NULL, 0);
        secret_free(reply.value);
        return r;
}

/* Loads what was just written; `expected` NULL after a removal. */
static int read_back(Keyring *keyring, const char *name, const Secret *expected, Report *report)
{
        _cleanup_(secret_freep) Secret *value = NULL;
        int r = keyring->current->vtable->load(keyring->current, name, &value, report);

        if (r)
                return r;
        if (!expected ? !value : value && secret_equal(value, secret_slice(expected)))
                return 0;
        return store_fail(report, FAULT_KEYRING_FAILED, NULL, "The store did not keep what was written.");
}

static int on_store(Keyring *keyring, Request *request)
{
        const KeyringStoreRequest *item = request->body;
        Empty reply = { 0 };
        Report report = { 0 };
        int r = check_item(keyring, item->name, &report);

        if (r == 0)
                r = keyring->current->vtable->store(keyring->current, item->name, item->value, &report);
        if (r == 0)
                r = read_back(keyring, item->name, item->value, &report);
        return r ? fail(keyring, request, r, &report) : request_reply(request, &reply, NULL, 0);
}

static int on_remove(Keyring *keyring, Request *request)
{
        const KeyringItemRequest *item = request->body;
        Empty reply = { 0 };
        Report report = { 0 };
        int r = check_item(keyring, item->name, &report);

        if (r == 0)
                r = keyring->current->vtable->remove(keyring->current, item->name, &report);
        if (r == 0)
                r = read_back(keyring, item->name, NULL, &report);
        return r ? fail(keyring, request, r, &report) : request_reply(request, &reply, NULL, 0);
}

/* ---- the edge ---- */

static int on_request(void *userdata, UNUSED Channel *channel, Request *request)
{
        static int (*const handlers[])(Keyring *, Request *) = {
                [KEYRING_OPEN] = on_open,
                [KEYRING_UNLOCK] = on_unlock,
                [KEYRING_LOCK] = on_lock,
                [KEYRING_LOAD] = on_load,
                [KEYRING_STORE] = on_store,
                [KEYRING_REMOVE] = on_remove,
        };

        return handlers[request->id](userdata, request);
}

static int on_closed(void *userdata, Channel *channel, UNUSED const char *reason)
{
        Keyring *keyring = userdata;

        if (keyring->vault == channel)
                keyring->vault = NULL;
        channel_free(channel);
        return 0;
}

int keyring_attach(Keyring *keyring, int fd)
{
        ChannelConfig config = {
                .loop = keyring->config.loop,
                .arena = keyring->config.arena,
                .fd = fd,
                .in = &interface_keyring,
                .handler = on_request,
                .closed = on_closed,
                .userdata = keyring,
        };

        keyring->vault = channel_free(keyring->vault);
        return channel_new(&keyring->vault, &config);
}

int keyring_new(Keyring **ret, const KeyringConfig *config)
{
        Keyring *keyring = calloc(1, sizeof(*keyring));

        if (!keyring) {
                for (size_t i = 0; i < config->n_stores; i++)
                        store_free(config->stores[i]);
                return -ENOMEM;
        }
        keyring->config = *config;
        *ret = keyring;
        return 0;
}

Keyring *keyring_free(Keyring *keyring)
{
        if (!keyring)
                return NULL;
        channel_free(keyring->vault);
        for (size_t i = 0; i < keyring->config.n_stores; i++)
                store_free(keyring->config.stores[i]);
        free(keyring);
        return NULL;
}
