#include "keyring/store_secret_service.h"
#include "base/text.h"
#include "keyring/deadline.h"
/* For secret_item_new_for_dbus_path_sync(), which is still called unstable after many years. */
#define SECRET_API_SUBJECT_TO_CHANGE
#include <libsecret/secret.h>

#define PROMPT_INTERFACE "org.freedesktop.Secret.Prompt"
/* Of a Dismiss, which nobody waits for in earnest. */
#define DISMISS_MSEC 500
/* Opaque bytes: a text type would let a service convert them. */
#define CONTENT_TYPE "application/octet-stream"

#define REMEDY_COLLECTION                                                                         \
        "Create a default keyring (log in at the desktop once, or use the keyring's own program), " \
        "or set `store = sealed-file`."

typedef struct SecretServiceStore {
        Store store;
        Arena *arena;
        Deadline *deadline; /* NULL before the first call: no thread before confinement */
        uint64_t deadline_usec;
        char *bus_address;
} SecretServiceStore;

/* One call of the vault, over its one or two attempts. */
typedef struct Job {
        SecretServiceStore *self;
        GCancellable *cancellable;
        Report *report;
        const char *name;    /* of the item */
        const Secret *value; /* to store */
        Secret **ret;        /* where a loaded value goes */
} Job;

/* What a job needs of the service; its members are references. */
typedef struct Place {
        GDBusConnection *bus;
        SecretService *service;
        SecretCollection *collection;
} Place;

typedef int (*Step)(Job *job, const Place *place, GError **error);

static SecretServiceStore *service_of(Store *store)
{
        return container_of(store, SecretServiceStore, store);
}

static void place_clear(Place *place)
{
        g_clear_object(&place->collection);
        g_clear_object(&place->service);
        g_clear_object(&place->bus);
}

static void item_list_free(GList **items)
{
        g_list_free_full(*items, g_object_unref);
}

static const SecretSchema *schema(void)
{
        static const SecretSchema schema = {
                "org.mcpcred.Secret",
                SECRET_SCHEMA_NONE,
                {
                        { "application", SECRET_SCHEMA_ATTRIBUTE_STRING },
                        { "item", SECRET_SCHEMA_ATTRIBUTE_STRING },
                        { NULL, 0 },
                },
        };

        return &schema;
}

static GHashTable *attributes(const char *name)
{
        return secret_attributes_build(schema(), "application", "mcpcred", "item", name, NULL);
}

/* ---- what an error means ---- */

static bool is_hung(const GError *error)
{
        return g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED) ||
               g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) ||
               g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_TIMEOUT) ||
               g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_TIMED_OUT);
}

/* Nobody owns the service's name, and nobody could be started for it. */
static bool is_no_provider(const GError *error)
{
        return error->domain == G_DBUS_ERROR &&
               (error->code == G_DBUS_ERROR_SERVICE_UNKNOWN || error->code == G_DBUS_ERROR_NAME_HAS_NO_OWNER ||
                (error->code >= G_DBUS_ERROR_SPAWN_EXEC_FAILED && error->code <= G_DBUS_ERROR_SPAWN_NO_MEMORY));
}

static int error_fault(const GError *error, Report *report)
{
        g_autofree char *text = g_utf8_make_valid(error->message, -1);

        if (is_hung(error))
                return FAULT_KEYRING_HUNG;
        if (g_error_matches(error, SECRET_ERROR, SECRET_ERROR_IS_LOCKED))
                return FAULT_KEYRING_LOCKED;
        if (is_no_provider(error))
                return store_fail(report, FAULT_KEYRING_ABSENT, NULL, "No keyring answers on the session bus.");
        /* Errors that GLib has no name for are of this domain too, though the service itself said them. */
        if (error->domain == G_IO_ERROR && !g_dbus_error_is_remote_error(error))
                return store_fail(report, FAULT_KEYRING_ABSENT, NULL, "The session bus cannot be reached: %.160s.",
                                  text_is_printable(text) ? text : "unreadable");
        return store_fail(report, FAULT_KEYRING_FAILED, NULL, "The keyring answered with an error: %.160s (%s %d)",
                          text_is_printable(text) ? text : "unreadable", g_quark_to_string(error->domain),
                          error->code);
}

/* Of the connection rather than of the request: a new connection may do better. */
static bool is_worth_retrying(const GError *error)
{
        return !is_hung(error) && (error->domain == G_DBUS_ERROR || error->domain == G_IO_ERROR);
}

/* ---- finding the collection ---- */

/*
 * Only sockets are connected to. Any other transport would run a program (unixexec:, autolaunch:)
 * or leave the machine (tcp:), neither of which this role may do.
 */
static bool is_socket_address(const char *address)
{
        g_auto(GStrv) entries = g_strsplit(address, ";", -1);

        for (char **entry = entries; *entry; entry++)
                if (!g_str_has_prefix(*entry, "unix:"))
                        return false;
        return *address;
}

/*
 * Runs what GDBus left for a main loop, which this process has none of. A connection that ended is
 * held by such a piece of work, and while it is held the next one is the same dead one.
 */
static void settle(void)
{
        while (g_main_context_iteration(NULL, FALSE))
                ;
}

static int connect_bus(Job *job, Place *place, GError **error)
{
        const char *address = job->self->bus_address;

        settle();
        if (!address || !is_socket_address(address))
                return store_fail(job->report, FAULT_KEYRING_ABSENT, NULL,
                                  "There is no session bus at a Unix socket (DBUS_SESSION_BUS_ADDRESS).");
        place->bus = g_bus_get_sync(G_BUS_TYPE_SESSION, job->cancellable, error);
        if (!place->bus)
                return 0;
        /* Otherwise the end of the bus would be ours too. */
        g_dbus_connection_set_exit_on_close(place->bus, FALSE);
        place->service = secret_service_get_sync(SECRET_SERVICE_OPEN_SESSION, job->cancellable, error);
        return 0;
}

static int find_collection(Job *job, Place *place, GError **error)
{
        g_clear_object(&place->collection);
        place->collection = secret_collection_for_alias_sync(place->service, SECRET_COLLECTION_DEFAULT,
                                                             SECRET_COLLECTION_NONE, job->cancellable, error);
        /* gnome-keyring answers with the path of a "login" collection that need not exist. */
        if (*error && (g_error_matches(*error, SECRET_ERROR, SECRET_ERROR_NO_SUCH_OBJECT) ||
                       g_error_matches(*error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_METHOD) ||
                       g_error_matches(*error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_OBJECT)))
                g_clear_error(error);
        if (place->collection || *error)
                return 0;
        return store_fail(job->report, FAULT_KEYRING_ABSENT, REMEDY_COLLECTION,
                          "The keyring has no default collection.");
}

static void dismiss(const Place *place, const char *prompt)
{
        g_autoptr(GVariant) reply = NULL;

        reply = g_dbus_connection_call_sync(place->bus, g_dbus_proxy_get_name(G_DBUS_PROXY(place->service)), prompt,
                                            PROMPT_INTERFACE, "Dismiss", NULL, NULL, G_DBUS_CALL_FLAGS_NO_AUTO_START,
                                            DISMISS_MSEC, NULL, NULL);
}

/*
 * Asks once that the collection or item be unlocked. That is enough where its password is known
 * already (one that was unlocked at login says "locked" until the first client asks); where it would
 * take a prompt, the prompt is dismissed unseen: a daemon does not open windows.
 */
static void unlock_quietly(Job *job, const Place *place, GDBusProxy *object, GError **error)
{
        const char *path = g_dbus_proxy_get_object_path(object), *prompt;
        g_autoptr(GVariant) reply = NULL;

        reply = g_dbus_proxy_call_sync(G_DBUS_PROXY(place->service), "Unlock",
                                       g_variant_new("(@ao)", g_variant_new_objv(&path, 1)),
                                       G_DBUS_CALL_FLAGS_NONE, -1, job->cancellable, error);
        if (!reply || !g_variant_is_of_type(reply, G_VARIANT_TYPE("(aoo)")))
                return;
        g_variant_get(reply, "(@ao&o)", NULL, &prompt);
        if (strcmp(prompt, "/") != 0)
                dismiss(place, prompt);
}

/* The default collection, unlocked. A fault, or 0 with or without an error. */
static int reach(Job *job, Place *place, GError **error)
{
        int r = connect_bus(job, place, error);

        if (r || *error)
                return r;
        r = find_collection(job, place, error);
        if (r || *error || !secret_collection_get_locked(place->collection))
                return r;
        unlock_quietly(job, place, G_DBUS_PROXY(place->collection), error);
        /* Looked up again: what the old object knows is from before. */
        if (!*error)
                r = find_collection(job, place, error);
        if (r || *error)
                return r;
        return secret_collection_get_locked(place->collection) ? FAULT_KEYRING_LOCKED : 0;
}

static int attempt(Job *job, Step step, GError **error)
{
        _cleanup_(place_clear) Place place = { 0 };
        int r = reach(job, &place, error);

        return r || *error || !step ? r : step(job, &place, error);
}

/* Runs a step within the deadline, on a fresh connection if the first fails. */
static int run(Job *job, Step step)
{
        SecretServiceStore *self = job->self;
        g_autoptr(GError) error = NULL;
        int r;

        r = self->deadline ? 0 : deadline_new(&self->deadline);
        if (r < 0)
                return r;
        job->cancellable = deadline_begin(self->deadline, self->deadline_usec);
        r = attempt(job, step, &error);
        if (error && is_worth_retrying(error)) {
                g_clear_error(&error);
                secret_service_disconnect();
                r = attempt(job, step, &error);
        }
        if (error) {
                if (error->domain != SECRET_ERROR)
                        secret_service_disconnect();
                r = error_fault(error, job->report);
        }
        deadline_end(self->deadline);
        return r;
}

/* ---- the steps ---- */

static GVariant *identity(const char *name)
{
        GVariantBuilder builder;

        g_variant_builder_init(&builder, G_VARIANT_TYPE("a{ss}"));
        g_variant_builder_add(&builder, "{ss}", "xdg:schema", schema()->name);
        g_variant_builder_add(&builder, "{ss}", "application", "mcpcred");
        g_variant_builder_add(&builder, "{ss}", "item", name);
        return g_variant_new("(a{ss})", &builder);
}

/*
 * The items of that name in the collection; more than one is left to the caller. Not by
 * secret_collection_search_sync(), which loses 300 bytes each time (libsecret 0.20.5, valgrind).
 */
static GList *search(Job *job, const Place *place, GError **error)
{
        g_autoptr(GVariant) reply = NULL;
        g_autoptr(GVariantIter) paths = NULL;
        GList *items = NULL;
        const char *path;

        reply = g_dbus_proxy_call_sync(G_DBUS_PROXY(place->collection), "SearchItems", identity(job->name),
                                       G_DBUS_CALL_FLAGS_NONE, -1, job->cancellable, error);
        if (reply && !g_variant_is_of_type(reply, G_VARIANT_TYPE("(ao)")))
                g_set_error_literal(error, SECRET_ERROR, SECRET_ERROR_PROTOCOL, "not a list of paths");
        if (*error)
                return NULL;
        g_variant_get(reply, "(ao)", &paths);
        while (!*error && g_variant_iter_next(paths, "&o", &path)) {
                SecretItem *item = secret_item_new_for_dbus_path_sync(place->service, path, SECRET_ITEM_NONE,
                                                                      job->cancellable, error);

                if (item)
                        items = g_list_prepend(items, item);
        }
        return items;
}

static int take_value(Job *job, SecretItem *item)
{
        SecretValue *value = secret_item_get_secret(item);
        const char *bytes;
        gsize size;
        int r;

        if (!value)
                return FAULT_KEYRING_LOCKED;
        bytes = secret_value_get(value, &size);
        r = secret_from_bytes(job->ret, job->self->arena, slice(bytes, size));
        secret_value_unref(value);
        return r ? store_secret_fault(job->report, r) : 0;
}

static int load_step(Job *job, const Place *place, GError **error)
{
        _cleanup_(item_list_free) GList *items = search(job, place, error);
        SecretItem *item;

        if (*error || !items)
                return 0;
        if (items->next)
                return store_fail(job->report, FAULT_STORE_DAMAGED, "Remove the one that is not wanted.",
                                  "The keyring holds item \"%s\" more than once.", job->name);
        item = items->data;
        if (secret_item_get_locked(item)) {
                unlock_quietly(job, place, G_DBUS_PROXY(item), error);
                if (*error)
                        return 0;
        }
        if (!secret_item_load_secret_sync(item, job->cancellable, error))
                return *error ? 0 : FAULT_KEYRING_LOCKED;
        return take_value(job, item);
}

static int store_step(Job *job, const Place *place, GError **error)
{
        g_autoptr(GHashTable) table = attributes(job->name);
        g_autofree char *label = g_strdup_printf("mcpcred: %s", job->name);
        Slice bytes = secret_slice(job->value);
        g_autoptr(SecretItem) item = NULL;
        SecretValue *value;

        /* Borrows the bytes, which are the arena's, and so has nothing to free. */
        value = secret_value_new_full((char *)(uintptr_t)bytes.data, (gssize)bytes.size, CONTENT_TYPE, NULL);
        item = secret_item_create_sync(place->collection, schema(), table, label, value,
                                       SECRET_ITEM_CREATE_REPLACE, job->cancellable, error);
        secret_value_unref(value);
        return 0;
}

static int remove_step(Job *job, const Place *place, GError **error)
{
        _cleanup_(item_list_free) GList *items = search(job, place, error);

        for (GList *at = items; at && !*error; at = at->next)
                (void)secret_item_delete_sync(at->data, job->cancellable, error);
        return 0;
}

/* ---- the vtable ---- */

static int service_open(Store *store, Report *report)
{
        Job job = { .self = service_of(store), .report = report };

        return run(&job, NULL);
}

static int service_unlock(Store *store, const UnlockHow *how, Secret **ret_key, Report *report)
{
        *ret_key = NULL;
        if (how->passphrase || how->key || how->create)
                return store_fail(report, FAULT_UNSUPPORTED, "Unlock it with the keyring's own program.",
                                  "The keyring's passphrase is not mcpcred's to ask for.");
        return service_open(store, report);
}

/* The user's keyring stays as it is: others use it. Only our session with it ends. */
static void service_lock(UNUSED Store *store)
{
        secret_service_disconnect();
}

static int service_load(Store *store, const char *name, Secret **ret, Report *report)
{
        Job job = { .self = service_of(store), .report = report, .name = name, .ret = ret };

        *ret = NULL;
        return run(&job, load_step);
}

static int service_store(Store *store, const char *name, const Secret *value, Report *report)
{
        Job job = { .self = service_of(store), .report = report, .name = name, .value = value };

        return run(&job, store_step);
}

static int service_remove(Store *store, const char *name, Report *report)
{
        Job job = { .self = service_of(store), .report = report, .name = name };

        return run(&job, remove_step);
}

static void service_free(Store *store)
{
        SecretServiceStore *self = service_of(store);

        secret_service_disconnect();
        deadline_free(self->deadline);
        free(self->bus_address);
        free(self);
}

static const StoreVtable service_vtable = {
        .kind = STORE_SECRET_SERVICE,
        .free = service_free,
        .open = service_open,
        .unlock = service_unlock,
        .lock = service_lock,
        .load = service_load,
        .store = service_store,
        .remove = service_remove,
};

int store_secret_service_new(Store **ret, const SecretServiceConfig *config)
{
        SecretServiceStore *self = calloc(1, sizeof(*self));

        if (!self)
                return -ENOMEM;
        self->store.vtable = &service_vtable;
        self->arena = config->arena;
        self->deadline_usec = config->deadline_usec;
        self->bus_address = config->bus_address ? strdup(config->bus_address) : NULL;
        if (config->bus_address && !self->bus_address) {
                free(self);
                return -ENOMEM;
        }
        *ret = &self->store;
        return 0;
}
