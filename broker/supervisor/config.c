#include "supervisor/config.h"
#include "base/fd.h"
#include "supervisor/config_builder.h"
#include "supervisor/config_text.h"
#include "supervisor/notify_command.h"
#include "wire/field.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Room for every profile with its lists at their largest is 256 * 12 KiB; texts come from files. */
#define POOL_MAX (16U * 1024U * 1024U)

Config *config_free(Config *config)
{
        if (!config)
                return NULL;
        free(config->profiles);
        free(config->secrets);
        pool_deinit(&config->pool);
        free(config);
        return NULL;
}

static int config_new(Config **ret)
{
        _cleanup_(config_freep) Config *config = calloc(1, sizeof(*config));

        if (!config)
                return -ENOMEM;
        config->pool = POOL_NULL(POOL_MAX);
        config->profiles = calloc(CONFIG_PROFILES_MAX, sizeof(*config->profiles));
        config->secrets = calloc(CONFIG_SECRETS_MAX, sizeof(*config->secrets));
        if (!config->profiles || !config->secrets)
                return -ENOMEM;
        config->broker = (ConfigureRequest){
                .store = STORE_AUTO,
                .max_sessions = CONFIG_MAX_SESSIONS_DEFAULT,
                .max_lifetime = CONFIG_MAX_LIFETIME_DEFAULT,
                .audit_max_size = CONFIG_AUDIT_MAX_SIZE_DEFAULT,
                .audit_keep = CONFIG_AUDIT_KEEP_DEFAULT,
        };
        config->require_landlock = true;
        *ret = take_ptr(config);
        return 0;
}

static int parse_file(ConfigBuilder *builder, const char *file, Slice bytes)
{
        const ConfigText text = {
                .file = file,
                .problems = builder->problems,
                .userdata = builder,
                .section = config_builder_section,
                .key = config_builder_key,
        };
        int r;

        builder->file = file;
        builder->in = SECTION_NONE;
        builder->config->n_files++;
        r = config_text_parse(&text, bytes);
        return r < 0 ? r : builder->no_memory ? -ENOMEM : 0;
}

/* Whose words these are: the owner's or the system's, and nobody else can change them. */
static bool check_owner(ConfigBuilder *builder, const char *path, const struct stat *st)
{
        if (st->st_uid != geteuid() && st->st_uid != 0)
                problems_add(builder->problems, path, 0, "belongs to user %u and not to you",
                             (unsigned)st->st_uid);
        else if (st->st_mode & (S_IWGRP | S_IWOTH))
                problems_add(builder->problems, path, 0, "others may write to it: chmod go-w it");
        else
                return true;
        return false;
}

static int read_whole(ConfigBuilder *builder, int fd, const char *path, Buf *buf)
{
        int r = 0;

        for (;;) {
                uint8_t *room;
                ssize_t n;

                r = buf_reserve(buf, 4096, &room);
                if (r < 0)
                        break;
                n = read(fd, room, 4096);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0) {
                        r = n < 0 ? error_errno() : 0;
                        break;
                }
                buf_commit(buf, (size_t)n);
        }
        if (r == -ENOBUFS || buf->size > CONFIG_FILE_MAX) {
                problems_add(builder->problems, path, 0, "is larger than %u bytes",
                             CONFIG_FILE_MAX);
                return CONFIG_E_INVALID;
        }
        return r;
}

/* A file that is not there is fine when it is `optional`. */
static int load_file(ConfigBuilder *builder, int directory, const char *name, const char *path,
                     bool optional)
{
        _cleanup_(fd_closep) int fd =
                openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        _cleanup_(buf_deinit) Buf buf = BUF_NULL(CONFIG_FILE_MAX + 8192);
        struct stat st;
        int r;

        if (fd < 0 && errno == ENOENT && optional)
                return 0;
        if (fd < 0) {
                problems_add(builder->problems, path, 0, "%s",
                             errno == ELOOP ? "is a symbolic link, which is not followed"
                                            : strerror(errno));
                return 0;
        }
        if (fstat(fd, &st) < 0)
                return error_errno();
        if (!S_ISREG(st.st_mode)) {
                problems_add(builder->problems, path, 0, "is not a regular file");
                return 0;
        }
        if (!check_owner(builder, path, &st))
                return 0;
        r = read_whole(builder, fd, path, &buf);
        if (r == CONFIG_E_INVALID)
                return 0;
        if (r < 0) {
                problems_add(builder->problems, path, 0, "%s", strerror(-r));
                return 0;
        }
        return parse_file(builder, path, buf_slice(&buf));
}

static int is_dropin(const struct dirent *entry)
{
        size_t n = strlen(entry->d_name);

        return entry->d_name[0] != '.' && n > 5 && strcmp(entry->d_name + n - 5, ".conf") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
        return strcmp((*a)->d_name, (*b)->d_name);
}

static int load_names(ConfigBuilder *builder, int directory, const char *path,
                      struct dirent **names, size_t n)
{
        int r = 0;

        if (n > CONFIG_FILES_MAX) {
                problems_add(builder->problems, path, 0, "has more than %u files",
                             CONFIG_FILES_MAX);
                return 0;
        }
        for (size_t i = 0; i < n && r == 0; i++) {
                _cleanup_(freep) char *file = NULL;

                if (asprintf(&file, "%s/%s", path, names[i]->d_name) < 0)
                        return -ENOMEM;
                r = load_file(builder, directory, names[i]->d_name, file, true);
        }
        return r;
}

static int load_dropins(ConfigBuilder *builder, int parent, const char *parent_path)
{
        _cleanup_(fd_closep) int fd =
                openat(parent, CONFIG_DROPINS, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        _cleanup_(freep) char *path = NULL;
        struct dirent **names = NULL;
        struct stat st;
        int n, r;

        if (fd < 0 && errno == ENOENT)
                return 0;
        if (asprintf(&path, "%s/" CONFIG_DROPINS, parent_path) < 0)
                return -ENOMEM;
        if (fd < 0) {
                problems_add(builder->problems, path, 0, "%s",
                             errno == ELOOP || errno == ENOTDIR
                                     ? "is not a directory (links are not followed)"
                                     : strerror(errno));
                return 0;
        }
        if (fstat(fd, &st) < 0)
                return error_errno();
        if (!check_owner(builder, path, &st))
                return 0;
        n = scandirat(fd, ".", &names, is_dropin, by_name);
        if (n < 0)
                return error_errno();
        r = load_names(builder, fd, path, names, (size_t)n);
        for (int i = 0; i < n; i++)
                free(names[i]);
        free(names);
        return r;
}

static int load_all(ConfigBuilder *builder, const char *directory)
{
        _cleanup_(fd_closep) int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(freep) char *path = NULL;
        struct stat st;
        int r;

        if (fd < 0 && errno == ENOENT)
                return 0;
        if (fd < 0) {
                problems_add(builder->problems, directory, 0, "%s", strerror(errno));
                return 0;
        }
        if (fstat(fd, &st) < 0)
                return error_errno();
        if (!check_owner(builder, directory, &st))
                return 0;
        if (asprintf(&path, "%s/" CONFIG_FILE, directory) < 0)
                return -ENOMEM;
        r = load_file(builder, fd, CONFIG_FILE, path, true);
        return r < 0 ? r : load_dropins(builder, fd, directory);
}

/* It runs with the owner's rights: only the owner and the system may have written it. */
static void check_notify(ConfigBuilder *builder)
{
        const char *path = builder->config->notify.items[0], *wrong = notify_check_command(path);

        if (wrong)
                problems_add(builder->problems, builder->notify_file, builder->notify_line, "notify = %s: %s", path, wrong);
}

/* Exactly one of `source` and `bytes` is used. */
static int build(Config **ret, const ConfigSource *source, const char *file, Slice bytes,
                 Problems *problems)
{
        _cleanup_(config_freep) Config *config = NULL;
        _cleanup_(freep) ConfigSection *profiles = NULL, *secrets = NULL;
        ConfigBuilder builder = { .problems = problems };
        int r;

        r = config_new(&config);
        if (r < 0)
                return r;
        builder.profiles = profiles = calloc(CONFIG_PROFILES_MAX, sizeof(*profiles));
        builder.secrets = secrets = calloc(CONFIG_SECRETS_MAX, sizeof(*secrets));
        if (!profiles || !secrets)
                return -ENOMEM;
        builder.config = config;
        builder.system_mode = source && source->system_mode;
        r = source ? load_all(&builder, source->directory) : parse_file(&builder, file, bytes);
        if (r < 0)
                return r;
        config_builder_finish(&builder);
        if (source && builder.notify_file && config->notify.n > 0)
                check_notify(&builder);
        if (problems_any(problems))
                return CONFIG_E_INVALID;
        *ret = take_ptr(config);
        return 0;
}

int config_load(Config **ret, const ConfigSource *source, Problems *problems)
{
        return build(ret, source, NULL, SLICE_NULL, problems);
}

int config_parse(Config **ret, const char *file, Slice bytes, Problems *problems)
{
        return build(ret, NULL, file, bytes, problems);
}
