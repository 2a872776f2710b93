/* mcpcred-keyring: reads and writes the items of the store, for the vault alone. */
#include "ipc/role.h"
#include "keyring/keyring.h"
#include "keyring/store_sealed_file.h"
#include "keyring/store_secret_service.h"
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* Three times what a sealed file can hold, and the messages under way. It is all locked memory, and
 * leaves half of the usual limit of 8 MiB to libsecret's own pool. */
#define ARENA_SIZE (4U * 1024U * 1024U)
/* A Store is two calls, and both together are less than the vault waits (12 s). */
#define SECRET_SERVICE_USEC (5U * USEC_PER_SEC)
#define N_PATHS_MAX 3U

typedef struct KeyringRole {
        RoleProcess role; /* first, as role.h wants it */
        Keyring *keyring;
        const char *state;
        char *bus_address; /* NULL: none */
        char *credentials; /* NULL: none */
        bool require_landlock;
} KeyringRole;

static void on_log(void *userdata, LogLevel level, const char *line)
{
        role_log(userdata, level, "%s", line);
}

static int on_supervisor(void *userdata, UNUSED Channel *channel, Request *request)
{
        KeyringRole *self = userdata;
        const AttachRequest *attach = request->body;
        Empty reply = { 0 };
        int r;

        if (request->id != TO_WORKER_ATTACH || attach->peer != ROLE_VAULT || request->n_fds != 1)
                return request_fail(request, FAULT_INVALID_PARAMETER, "The keyring is attached to the vault.");
        r = keyring_attach(self->keyring, take_fd(&request->fds[0]));
        return r < 0 ? request_fail(request, FAULT_INTERNAL, strerror(-r)) : request_reply(request, &reply, NULL, 0);
}

static int make_stores(KeyringRole *self, KeyringConfig *config)
{
        SealedFileConfig sealed = {
                .arena = self->role.arena,
                .directory = self->state,
                .credentials = self->credentials,
                .operations = crypto_pwhash_OPSLIMIT_MODERATE,
                .memory = crypto_pwhash_MEMLIMIT_MODERATE,
        };
        SecretServiceConfig service = {
                .arena = self->role.arena,
                .bus_address = self->bus_address,
                .deadline_usec = SECRET_SERVICE_USEC,
        };
        int r = store_secret_service_new(&config->stores[config->n_stores], &service);

        if (r == 0) {
                config->n_stores++;
                r = store_sealed_file_new(&config->stores[config->n_stores], &sealed);
        }
        if (r == 0) {
                config->n_stores++;
                r = store_memory_new(&config->stores[config->n_stores], self->role.arena);
        }
        if (r == 0)
                config->n_stores++;
        return r;
}

static int on_started(RoleProcess *role, void *userdata)
{
        KeyringRole *self = userdata;
        KeyringConfig config = { .loop = role->loop, .arena = role->arena, .log = on_log, .userdata = self };
        int r = make_stores(self, &config);

        if (r == 0)
                return keyring_new(&self->keyring, &config);
        while (config.n_stores > 0)
                store_free(config.stores[--config.n_stores]);
        return r;
}

static int parse_arguments(KeyringRole *self, int argc, char **argv)
{
        static const struct option options[] = {
                { "state", required_argument, NULL, 's' },
                { "allow-no-landlock", no_argument, NULL, 'l' },
                { 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                if (c == 's')
                        self->state = optarg;
                else if (c == 'l')
                        self->require_landlock = false;
                else
                        return -EINVAL;
        }
        return self->state && optind == argc ? 0 : -EINVAL;
}

/*
 * Keeps two variables and drops the rest, before any thread: GLib, GIO and libsecret read dozens that
 * choose other services, load modules, or print what goes over the bus.
 */
static int clean_environment(KeyringRole *self)
{
        const char *bus = getenv("DBUS_SESSION_BUS_ADDRESS"), *credentials = getenv("CREDENTIALS_DIRECTORY");

        self->bus_address = bus ? strdup(bus) : NULL;
        self->credentials = credentials ? strdup(credentials) : NULL;
        if ((bus && !self->bus_address) || (credentials && !self->credentials) || clearenv() != 0)
                return -ENOMEM;
        if (self->bus_address && setenv("DBUS_SESSION_BUS_ADDRESS", self->bus_address, 1) < 0)
                return error_errno();
        if (setenv("GIO_MODULE_DIR", "/nonexistent", 1) < 0 || setenv("GIO_USE_VFS", "local", 1) < 0)
                return error_errno();
        return 0;
}

static int run(KeyringRole *self)
{
        HardenPath paths[N_PATHS_MAX];
        RoleConfig config = {
                .profile = &harden_profile_keyring,
                .paths = paths,
                .require_landlock = self->require_landlock,
                .arena_size = ARENA_SIZE,
                .in = &interface_to_worker,
                .out = &interface_from_worker,
                .handler = on_supervisor,
                .started = on_started,
                .userdata = self,
        };
        paths[config.n_paths++] = (HardenPath){ .path = self->state, .write = true };
        if (self->credentials)
                paths[config.n_paths++] = (HardenPath){ .path = self->credentials, .optional = true };
        /* What the stores hold is wiped with the role's arena; they themselves end with the process. */
        return role_run(&self->role, &config);
}

int main(int argc, char **argv)
{
        KeyringRole self = { .require_landlock = true };
        int status;

        if (parse_arguments(&self, argc, argv) < 0) {
                fprintf(stderr, "usage: mcpcred-keyring --state DIR [--allow-no-landlock]\n");
                return 2;
        }
        if (clean_environment(&self) < 0) {
                fprintf(stderr, "mcpcred-keyring: cannot set its environment\n");
                return 1;
        }
        status = run(&self);
        free(self.bus_address);
        free(self.credentials);
        return status;
}
