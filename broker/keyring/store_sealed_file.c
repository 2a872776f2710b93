#include "keyring/store_sealed_file.h"
#include "base/fd.h"
#include "keyring/sealed_format.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPORARY_NAME SEALED_FILE_NAME ".new"
/* Names and records of SEALED_ITEMS_MAX items. */
#define POOL_MAX (SEALED_ITEMS_MAX * 256U)
/* A key file of a service manager; anything longer is another file. */
#define CREDENTIAL_MAX 4096U

#define REMEDY_CREATE "Make one: `mcpcred unlock --create`."
#define REMEDY_UNLOCK "`mcpcred unlock` asks for the passphrase."
#define REMEDY_OWNER "The file must be a regular one of the broker's user, mode 0600."
#define REMEDY_RESTORE "Put a copy of " SEALED_FILE_NAME " back, or move it away and add the secrets again."

typedef struct SealedFile {
        Store store;
        SealedFileConfig config;
        char *directory;
        char *credentials;
        Secret *master;       /* NULL: locked */
        uint64_t generation;  /* the highest that was seen */
} SealedFile;

/* A file as it was read, and what was in it. */
typedef struct Loaded {
        Buf bytes;
        SealedHeader header;
        Pool pool;
        SealedBody body;
} Loaded;

#define LOADED_NULL ((Loaded){ .bytes = BUF_NULL(SEALED_FILE_MAX + 1), .pool = POOL_NULL(POOL_MAX) })

static void loaded_deinit(Loaded *loaded)
{
        schema_clear(&schema_sealed_body, &loaded->body);
        pool_deinit(&loaded->pool);
        buf_deinit(&loaded->bytes);
}

static SealedFile *sealed_of(Store *store)
{
        return container_of(store, SealedFile, store);
}

static int format_fault(Report *report, int r)
{
        switch (r) {
        case SEALED_E_DAMAGED:
                return store_fail(report, FAULT_STORE_DAMAGED, REMEDY_RESTORE, "The sealed file is damaged.");
        case SEALED_E_VERSION:
                return store_fail(report, FAULT_UNSUPPORTED, "Install the version of mcpcred that wrote it.",
                                  "The sealed file was written by a later version.");
        case SEALED_E_WRONG_KEY:
                return store_fail(report, FAULT_WRONG_PASSPHRASE, NULL, "The passphrase or key is not the sealed file's.");
        case SEALED_E_FULL:
                return store_fail(report, FAULT_BUSY, "Remove secrets that are not needed.",
                                  "The sealed file holds at most %u items and %u KiB.", SEALED_ITEMS_MAX,
                                  SEALED_PLAIN_MAX / 1024U);
        default:
                return r;
        }
}

/* ---- reading ---- */

static int check_owner(int fd, Report *report)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return error_errno();
        if (!S_ISREG(st.st_mode))
                return store_fail(report, FAULT_KEYRING_FAILED, REMEDY_OWNER, "The sealed file is not a regular file.");
        if (st.st_uid != geteuid())
                return store_fail(report, FAULT_KEYRING_FAILED, REMEDY_OWNER, "The sealed file belongs to another user.");
        if ((st.st_mode & 07777 & ~0600U) != 0)
                return store_fail(report, FAULT_KEYRING_FAILED, REMEDY_OWNER, "The sealed file is open to others (mode %04o).",
                                  st.st_mode & 07777);
        return 0;
}

static int read_all(int fd, Buf *bytes)
{
        for (;;) {
                uint8_t *room;
                size_t want = MIN((size_t)65536, bytes->max - bytes->size);
                ssize_t n;
                int r = buf_reserve(bytes, want, &room);

                if (r < 0 || want == 0)
                        return r;
                n = read(fd, room, want);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? error_errno() : 0;
                buf_commit(bytes, (size_t)n);
        }
}

static int open_directory(const char *path)
{
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? error_errno() : fd;
}

/* Reads the file and parses its header. */
static int read_file(const SealedFile *self, Loaded *loaded, Report *report)
{
        _cleanup_(fd_closep) int directory = open_directory(self->directory);
        _cleanup_(fd_closep) int fd = -1;
        int r;

        if (directory < 0)
                return directory;
        /* Non-blocking, so that a FIFO under this name cannot hold us. */
        fd = openat(directory, SEALED_FILE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
                return store_fail(report, FAULT_KEYRING_ABSENT, REMEDY_CREATE, "There is no sealed file yet.");
        if (fd < 0 && errno == ELOOP)
                return store_fail(report, FAULT_KEYRING_FAILED, REMEDY_OWNER, "The sealed file is a symbolic link.");
        if (fd < 0)
                return error_errno();
        r = check_owner(fd, report);
        if (r == 0)
                r = read_all(fd, &loaded->bytes);
        if (r)
                return r;
        if (loaded->bytes.size > SEALED_FILE_MAX)
                return format_fault(report, SEALED_E_DAMAGED);
        return format_fault(report, sealed_parse(&loaded->header, buf_slice(&loaded->bytes)));
}

/* Checks the key against a file that was read, and decrypts it. */
static int open_with(SealedFile *self, Loaded *loaded, const Secret *master, Report *report)
{
        /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): what is opened has its key */
        int r = sealed_check(&loaded->header, self->config.arena, master);

        if (r == 0)
                r = sealed_open(&loaded->body, &loaded->header, self->config.arena, &loaded->pool, master,
                                buf_slice(&loaded->bytes));
        if (r)
                return format_fault(report, r);
        if (loaded->header.generation < self->generation)
                return store_fail(report, FAULT_ROLLBACK, NULL, "The sealed file is an older copy of itself.");
        self->generation = loaded->header.generation;
        return 0;
}

static int read_items(SealedFile *self, Loaded *loaded, Report *report)
{
        int r;

        if (!self->master)
                return store_fail(report, FAULT_KEYRING_LOCKED, REMEDY_UNLOCK, "The sealed file is locked.");
        r = read_file(self, loaded, report);
        return r ? r : open_with(self, loaded, self->master, report);
}

/* ---- writing ---- */

static int write_temporary(int directory, Slice bytes)
{
        _cleanup_(fd_closep) int fd = -1;
        int r;

        /* One may be left of a crash. */
        if (unlinkat(directory, TEMPORARY_NAME, 0) < 0 && errno != ENOENT)
                return error_errno();
        fd = openat(directory, TEMPORARY_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return error_errno();
        r = fd_write_all(fd, bytes.data, bytes.size);
        if (r == 0 && fsync(fd) < 0)
                r = error_errno();
        return r;
}

/*
 * Gives the temporary file its name: a new store never takes the place of what is there. Where the
 * file system cannot promise that (NFS), it was looked at before, and the supervisor's lock keeps out a
 * second broker.
 */
static int publish(int directory, bool create)
{
        unsigned flags = create ? RENAME_NOREPLACE : 0;
        int r = renameat2(directory, TEMPORARY_NAME, directory, SEALED_FILE_NAME, flags);

        if (r < 0 && create && errno == EINVAL)
                r = renameat(directory, TEMPORARY_NAME, directory, SEALED_FILE_NAME);
        return r < 0 || fsync(directory) < 0 ? error_errno() : 0;
}

static int write_file(const SealedFile *self, Slice bytes, bool create, Report *report)
{
        _cleanup_(fd_closep) int directory = open_directory(self->directory);
        int r;

        if (directory < 0)
                return directory;
        r = write_temporary(directory, bytes);
        if (r == 0)
                r = publish(directory, create);
        if (r < 0)
                (void)unlinkat(directory, TEMPORARY_NAME, 0);
        if (r == -EEXIST)
                return store_fail(report, FAULT_EXISTS, "Move it away first, if it is not needed.",
                                  "There is a sealed file already.");
        return r;
}

static int write_items(SealedFile *self, SealedHeader *header, const Secret *master, const SealedBody *body,
                       bool create, Report *report)
{
        Buf bytes = BUF_NULL(SEALED_FILE_MAX);
        int r;

        header->generation++;
        r = sealed_seal(&bytes, header, self->config.arena, master, body);
        r = r ? format_fault(report, r) : write_file(self, buf_slice(&bytes), create, report);
        /* Counted only now: one that was not written must not make the old file look like a rollback. */
        if (r == 0)
                self->generation = header->generation;
        buf_deinit(&bytes);
        return r;
}

/* ---- keys ---- */

/* NULL where no credential was delivered. */
static int read_credential(const SealedFile *self, Secret **ret, Report *report)
{
        _cleanup_(secret_freep) Secret *credential = NULL;
        _cleanup_(fd_closep) int directory = -1;
        _cleanup_(fd_closep) int fd = -1;
        struct stat st;
        int r;

        *ret = NULL;
        directory = self->credentials ? open_directory(self->credentials) : -ENOENT;
        if (directory >= 0)
                fd = openat(directory, SEALED_CREDENTIAL_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
                return directory == -ENOENT || errno == ENOENT ? 0 : error_errno();
        if (fstat(fd, &st) < 0)
                return error_errno();
        if (!S_ISREG(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != 0))
                return store_fail(report, FAULT_CONFIG_INVALID, NULL,
                                  "The credential " SEALED_CREDENTIAL_NAME " is not a file of this user or of root.");
        r = secret_new(&credential, self->config.arena, CREDENTIAL_MAX);
        if (r == 0)
                r = secret_read_fd(credential, fd);
        if (r == SECRET_E_FULL || (r == 0 && secret_size(credential) < SEALED_CREDENTIAL_MIN))
                return store_fail(report, FAULT_CONFIG_INVALID, "Give it 32 random bytes.",
                                  "The credential " SEALED_CREDENTIAL_NAME " has not between %u and %u bytes.",
                                  SEALED_CREDENTIAL_MIN, CREDENTIAL_MAX);
        if (r)
                return r > 0 ? store_secret_fault(report, r) : r;
        *ret = take_ptr(credential);
        return 0;
}

static int derive(const SealedFile *self, const SealedHeader *header, const Secret *passphrase,
                  Secret **ret, Report *report)
{
        _cleanup_(secret_freep) Secret *credential = NULL;
        const Secret *input = passphrase;
        int r;

        if (header->source == SEALED_CREDENTIAL) {
                if (passphrase)
                        return store_fail(report, FAULT_INVALID_PARAMETER, "Ask without a passphrase.",
                                          "The sealed file opens with a delivered credential.");
                r = read_credential(self, &credential, report);
                if (r)
                        return r;
                if (!credential)
                        return store_fail(report, FAULT_KEYRING_LOCKED,
                                          "Let the service manager deliver it (LoadCredentialEncrypted=).",
                                          "The sealed file opens with the credential " SEALED_CREDENTIAL_NAME
                                          ", and there is none.");
                input = credential;
        }
        if (!input || secret_size(input) == 0)
                return store_fail(report, FAULT_KEYRING_LOCKED, REMEDY_UNLOCK, "The sealed file wants its passphrase.");
        r = sealed_derive(ret, self->config.arena, header, secret_slice(input));
        if (r == -ENOMEM)
                return store_fail(report, FAULT_INTERNAL, "Free some memory and ask again.",
                                  "Deriving the key takes %u MiB of memory, and there is less.",
                                  (unsigned)(header->memory / (1024U * 1024U)));
        return format_fault(report, r);
}

static int copy_key(const SealedFile *self, const Secret *key, Secret **ret, Report *report)
{
        int r = secret_from_bytes(ret, self->config.arena, secret_slice(key));

        return r ? store_secret_fault(report, r) : 0;
}

static void set_master(SealedFile *self, Secret **master)
{
        secret_free(self->master);
        self->master = take_ptr(*master);
}

/* ---- the vtable ---- */

static int create(SealedFile *self, const UnlockHow *how, Secret **ret_key, Report *report)
{
        _cleanup_(secret_freep) Secret *master = NULL, *key = NULL;
        SealedSource source = how->passphrase ? SEALED_PASSPHRASE : SEALED_CREDENTIAL;
        SealedHeader header;
        SealedBody empty = { 0 };
        int r;

        if (store_sealed_file_exists(self->directory))
                return store_fail(report, FAULT_EXISTS, "Move it away first, if it is not needed.",
                                  "There is a sealed file already.");
        sealed_header_init(&header, source, self->config.operations, self->config.memory);
        r = derive(self, &header, how->passphrase, &master, report);
        if (r)
                return r;
        r = copy_key(self, master, &key, report);
        if (r == 0)
                r = format_fault(report, sealed_bind(&header, self->config.arena, master));
        if (r)
                return r;
        /* A new file begins anew: what another one of this name had reached does not count. */
        self->generation = 0;
        r = write_items(self, &header, master, &empty, true, report);
        if (r)
                return r;
        set_master(self, &master);
        *ret_key = take_ptr(key);
        return 0;
}

static int sealed_unlock(Store *store, const UnlockHow *how, Secret **ret_key, Report *report)
{
        _cleanup_(loaded_deinit) Loaded loaded = LOADED_NULL;
        _cleanup_(secret_freep) Secret *master = NULL, *key = NULL;
        SealedFile *self = sealed_of(store);
        int r;

        *ret_key = NULL;
        if ((how->key && (how->create || how->passphrase)) ||
            (how->key && secret_size(how->key) != SEALED_KEY_SIZE))
                return store_fail(report, FAULT_INVALID_PARAMETER, NULL, "A key of 32 bytes goes alone.");
        if (how->create)
                return create(self, how, ret_key, report);
        r = read_file(self, &loaded, report);
        if (r == 0)
                r = how->key ? copy_key(self, how->key, &master, report)
                             : derive(self, &loaded.header, how->passphrase, &master, report);
        if (r == 0)
                r = open_with(self, &loaded, master, report);
        if (r == 0)
                r = copy_key(self, master, &key, report);
        if (r)
                return r;
        set_master(self, &master);
        *ret_key = take_ptr(key);
        return 0;
}

static int sealed_open_store(Store *store, Report *report)
{
        _cleanup_(loaded_deinit) Loaded loaded = LOADED_NULL;
        _cleanup_(secret_freep) Secret *master = NULL;
        SealedFile *self = sealed_of(store);
        int r = read_file(self, &loaded, report);

        if (r)
                return r;
        if (self->master) {
                r = open_with(self, &loaded, self->master, report);
                if (r != FAULT_WRONG_PASSPHRASE)
                        return r;
                /* Another file lies there now, and our key is not its. */
                self->master = secret_free(self->master);
        }
        r = derive(self, &loaded.header, NULL, &master, report);
        if (r == 0)
                r = open_with(self, &loaded, master, report);
        if (r == 0)
                set_master(self, &master);
        return r;
}

static int sealed_key(Store *store, Secret **ret, Report *report)
{
        SealedFile *self = sealed_of(store);

        return self->master ? copy_key(self, self->master, ret, report) : 0;
}

static void sealed_lock(Store *store)
{
        SealedFile *self = sealed_of(store);

        self->master = secret_free(self->master);
}

static SealedItem *find(const SealedBody *body, const char *name)
{
        SealedItem *items = body->items.items;

        for (size_t i = 0; i < body->items.n; i++)
                if (strcmp(items[i].name, name) == 0)
                        return &items[i];
        return NULL;
}

static int sealed_load(Store *store, const char *name, Secret **ret, Report *report)
{
        _cleanup_(loaded_deinit) Loaded loaded = LOADED_NULL;
        SealedItem *item;
        int r;

        *ret = NULL;
        r = read_items(sealed_of(store), &loaded, report);
        if (r)
                return r;
        item = find(&loaded.body, name);
        if (item)
                *ret = take_ptr(item->value);
        return 0;
}

/* Puts a slot for one item more behind the others. */
static int grow(Loaded *loaded, const char *name, SealedItem **ret, Report *report)
{
        SealedBody *body = &loaded->body;
        void *items;
        int r;

        if (body->items.n >= SEALED_ITEMS_MAX)
                return format_fault(report, SEALED_E_FULL);
        r = pool_alloc(&loaded->pool, (body->items.n + 1) * sizeof(SealedItem), &items);
        if (r < 0)
                return r == -ENOBUFS ? format_fault(report, SEALED_E_FULL) : r;
        if (body->items.n > 0)
                memcpy(items, body->items.items, body->items.n * sizeof(SealedItem));
        body->items.items = items;
        *ret = (SealedItem *)items + body->items.n++;
        (*ret)->name = name;
        return 0;
}

static int sealed_store(Store *store, const char *name, const Secret *value, Report *report)
{
        _cleanup_(loaded_deinit) Loaded loaded = LOADED_NULL;
        SealedFile *self = sealed_of(store);
        SealedItem *item;
        int r = read_items(self, &loaded, report);

        if (r)
                return r;
        item = find(&loaded.body, name);
        if (!item)
                r = grow(&loaded, name, &item, report);
        if (r)
                return r;
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): grow() sets it or fails */
        item->value = secret_free(item->value);
        r = secret_from_bytes(&item->value, self->config.arena, secret_slice(value));
        if (r)
                return store_secret_fault(report, r);
        return write_items(self, &loaded.header, self->master, &loaded.body, false, report);
}

static int sealed_remove(Store *store, const char *name, Report *report)
{
        _cleanup_(loaded_deinit) Loaded loaded = LOADED_NULL;
        SealedFile *self = sealed_of(store);
        SealedItem *item, *items;
        int r = read_items(self, &loaded, report);

        if (r)
                return r;
        item = find(&loaded.body, name);
        if (!item)
                return 0;
        items = loaded.body.items.items;
        secret_free(item->value);
        *item = items[--loaded.body.items.n];
        return write_items(self, &loaded.header, self->master, &loaded.body, false, report);
}

static void sealed_free(Store *store)
{
        SealedFile *self = sealed_of(store);

        secret_free(self->master);
        free(self->directory);
        free(self->credentials);
        free(self);
}

static const StoreVtable sealed_vtable = {
        .kind = STORE_SEALED_FILE,
        .free = sealed_free,
        .open = sealed_open_store,
        .unlock = sealed_unlock,
        .key = sealed_key,
        .lock = sealed_lock,
        .load = sealed_load,
        .store = sealed_store,
        .remove = sealed_remove,
};

int store_sealed_file_new(Store **ret, const SealedFileConfig *config)
{
        _cleanup_(store_freep) Store *store = NULL;
        SealedFile *self = calloc(1, sizeof(*self));

        if (!self)
                return -ENOMEM;
        store = &self->store;
        self->store.vtable = &sealed_vtable;
        self->config = *config;
        self->directory = strdup(config->directory);
        self->credentials = config->credentials ? strdup(config->credentials) : NULL;
        if (!self->directory || (config->credentials && !self->credentials))
                return -ENOMEM;
        *ret = take_ptr(store);
        return 0;
}

bool store_sealed_file_exists(const char *directory)
{
        _cleanup_(fd_closep) int fd = open_directory(directory);
        struct stat st;

        return fd >= 0 && (fstatat(fd, SEALED_FILE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT);
}
