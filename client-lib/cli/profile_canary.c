#include "profile_canary.h"
#include "output.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Longer configurations are none that a person wrote. */
#define FILE_MAX (1024U * 1024U)
#define VARIABLE_MAX 127U

/* A file of the configuration, whole. */
typedef struct File {
        char path[PATH_MAX]; /* without symbolic links, so that one stays one */
        char *text;
        size_t size;
        struct stat stat;
} File;

static void file_free(File *file)
{
        free(file->text);
}

/* Where the profile is written. */
typedef struct Place {
        const char *profile;
        char file[PATH_MAX];
        unsigned long line;
        char canary[VARIABLE_MAX + 1]; /* that it has already; "": none */
        bool found;
} Place;

static int take_place(const mcpcred_row *row, void *userdata)
{
        Place *place = userdata;
        const char *source = mcpcred_row_text(row, "source"), *canary = mcpcred_row_text(row, "canary");
        const char *colon = source ? strrchr(source, ':') : NULL;

        if (strcmp(mcpcred_row_text(row, "name"), place->profile) != 0)
                return 0;
        place->found = true;
        (void)snprintf(place->canary, sizeof(place->canary), "%s", canary ? canary : "");
        if (colon && (size_t)(colon - source) < sizeof(place->file)) {
                memcpy(place->file, source, (size_t)(colon - source));
                place->line = strtoul(colon + 1, NULL, 10);
        }
        return 1;
}

static int find_place(Cli *cli, Place *place)
{
        int r = mcpcred_list_rows(cli->client, MCPCRED_LIST_PROFILES, 0, take_place, place);

        if (r && r != MCPCRED_E_STOPPED)
                return cli_fail(cli);
        if (!place->found)
                return cli_fail_local(cli, EXIT_NO_SUCH, "NotFound", "`mcpcred profile` lists them.",
                                      "There is no profile %s.", place->profile);
        if (place->canary[0])
                return cli_fail_local(cli, EXIT_FAILED, "Exists", "Change it in the file, then `mcpcred reload`.",
                                      "Profile %s (%s, line %lu) has a canary already: %s.", place->profile, place->file,
                                      place->line, place->canary);
        if (place->line == 0)
                return cli_fail_local(cli, EXIT_FAILED, "Unsupported", "", "The broker does not say where profile %s is written.",
                                      place->profile);
        return 0;
}

/* ---- the file ---- */

static int fail_file(Cli *cli, const char *doing, const char *path)
{
        return cli_fail_local(cli, EXIT_FAILED, "System", "", "Cannot %s %s: %s.", doing, path, strerror(errno));
}

static int read_whole(int fd, File *file)
{
        if (fstat(fd, &file->stat) < 0)
                return -1;
        if (!S_ISREG(file->stat.st_mode) || file->stat.st_size > (off_t)FILE_MAX) {
                errno = EFBIG;
                return -1;
        }
        file->text = malloc((size_t)file->stat.st_size + 1);
        if (!file->text)
                return -1;
        while (file->size < (size_t)file->stat.st_size) {
                ssize_t n = read(fd, file->text + file->size, (size_t)file->stat.st_size - file->size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -1;
                if (n == 0)
                        break;
                file->size += (size_t)n;
        }
        file->text[file->size] = 0;
        return 0;
}

static int file_read(Cli *cli, const char *path, File *file)
{
        int fd, r;

        if (!realpath(path, file->path))
                return fail_file(cli, "find", path);
        fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW);
        if (fd < 0)
                return fail_file(cli, "open", file->path);
        r = read_whole(fd, file);
        if (r < 0)
                r = fail_file(cli, "read", file->path);
        (void)close(fd);
        return r;
}

static int write_all(int fd, const char *text, size_t size)
{
        while (size > 0) {
                ssize_t n = write(fd, text, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -1;
                text += n;
                size -= (size_t)n;
        }
        return 0;
}

/* With the old one's mode and owner, and on the disk before it has the name. */
static int fill_new(int fd, const File *file, const char *text, size_t size)
{
        if (fchmod(fd, file->stat.st_mode & 07777) < 0)
                return -1;
        if ((file->stat.st_uid != geteuid() || file->stat.st_gid != getegid()) &&
            fchown(fd, file->stat.st_uid, file->stat.st_gid) < 0)
                return -1;
        return write_all(fd, text, size) < 0 || fsync(fd) < 0 ? -1 : 0;
}

static void sync_directory(const char *path)
{
        char directory[PATH_MAX];
        int fd;

        (void)snprintf(directory, sizeof(directory), "%s", path);
        *strrchr(directory, '/') = 0;
        fd = open(directory[0] ? directory : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return;
        (void)fsync(fd);
        (void)close(fd);
}

/* Whoever reads the file sees the old one or the new one, whole. */
static int file_replace(Cli *cli, const File *file, const char *text, size_t size)
{
        char path[PATH_MAX + 16];
        int fd, r;

        (void)snprintf(path, sizeof(path), "%s.XXXXXX", file->path);
        fd = mkostemp(path, O_CLOEXEC);
        if (fd < 0)
                return fail_file(cli, "write beside", file->path);
        r = fill_new(fd, file, text, size);
        if (close(fd) < 0)
                r = -1;
        if (r == 0)
                r = rename(path, file->path);
        if (r < 0) {
                r = fail_file(cli, "replace", file->path);
                (void)unlink(path);
                return r;
        }
        sync_directory(file->path);
        return 0;
}

/* ---- its text ---- */

static const char *next_line(const char *line)
{
        const char *end = strchr(line, '\n');

        return end ? end + 1 : line + strlen(line);
}

static const char *skip_blanks(const char *text)
{
        return text + strspn(text, " \t");
}

static bool is_header(const char *line)
{
        return *skip_blanks(line) == '[';
}

/* "[profile NAME]", as the broker read it. */
static bool is_section_of(const char *line, const char *profile)
{
        size_t n = strlen(profile);

        line = skip_blanks(line);
        if (strncmp(line, "[profile", 8) != 0)
                return false;
        line = skip_blanks(line + 8);
        return strncmp(line, profile, n) == 0 && *skip_blanks(line + n) == ']';
}

static bool is_key(const char *line, const char *key)
{
        size_t n = strlen(key);

        line = skip_blanks(line);
        return strncmp(line, key, n) == 0 && *skip_blanks(line + n) == '=';
}

static bool says_something(const char *line)
{
        char first = *skip_blanks(line);

        return first != 0 && first != '\n' && first != '\r' && first != ';' && first != '#';
}

/* Behind the last key of the section that begins at line `number`; NULL: it does not, or it has a canary. */
static const char *find_end(const char *text, const Place *place, const char **ret_problem)
{
        const char *line = text, *end;

        for (unsigned long i = 1; i < place->line && *line; i++)
                line = next_line(line);
        *ret_problem = "is not as the broker has read it";
        if (!is_section_of(line, place->profile))
                return NULL;
        line = end = next_line(line);
        for (; *line && !is_header(line); line = next_line(line)) {
                *ret_problem = "has a canary for the profile that the broker has not read";
                if (is_key(line, "canary"))
                        return NULL;
                if (says_something(line))
                        end = next_line(line);
        }
        return end;
}

static bool is_variable(const char *name)
{
        static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
        static const char digits[] = "0123456789";
        size_t n = strspn(name, first);

        while (name[n] && n > 0 && (strchr(first, name[n]) || strchr(digits, name[n])))
                n++;
        return n > 0 && !name[n] && n <= VARIABLE_MAX;
}

/* The text with the key in it; the caller frees. */
static char *insert(const File *file, const char *at, const char *variable, size_t *ret_size)
{
        const char *first = strchr(file->text, '\n');
        const char *line_end = first && first > file->text && first[-1] == '\r' ? "\r\n" : "\n";
        bool open = at > file->text && at[-1] != '\n'; /* the last line of the file, without its end */
        size_t room = file->size + VARIABLE_MAX + 32, before = (size_t)(at - file->text);
        char *text = malloc(room);

        if (text)
                *ret_size = (size_t)snprintf(text, room, "%.*s%scanary = %s%s%s", (int)before, file->text, open ? line_end : "",
                                             variable, line_end, at);
        return text;
}

static int say_done(Cli *cli, const Place *place, const char *variable, const char *path)
{
        Json json;

        if (!cli->json) {
                (void)printf("Sessions of profile %s that are opened from now on have a canary in %s (%s).\n", place->profile,
                             variable, path);
                return 0;
        }
        json_begin(&json);
        json_text(&json, "profile", place->profile);
        json_text(&json, "canary", variable);
        json_text(&json, "file", path);
        return json_end(&json, stdout) ? 0 : EXIT_FAILED;
}

/* The broker refuses the whole configuration if it does not like a line, so that no such line may stay. */
static int reload(Cli *cli, const File *file)
{
        int status;

        if (mcpcred_reload(cli->client, NULL) == 0)
                return 0;
        status = cli_fail(cli);
        if (file_replace(cli, file, file->text, file->size) == 0)
                cli_note("%s is as it was.", file->path);
        return status;
}

int profile_canary_plant(Cli *cli, const char *profile, const char *variable)
{
        _cleanup_(file_free) File file = { 0 };
        _cleanup_(free_memory) char *text = NULL;
        Place place = { .profile = profile };
        const char *at, *problem;
        size_t size = 0;
        int r;

        if (!is_variable(variable))
                return cli_usage(cli, &verb_profile, "--canary takes the name of a variable");
        r = find_place(cli, &place);
        if (r == 0)
                r = file_read(cli, place.file, &file);
        if (r)
                return r;
        if (strlen(file.text) != file.size)
                return cli_fail_local(cli, EXIT_FAILED, "ConfigInvalid", "", "%s is no text.", file.path);
        at = find_end(file.text, &place, &problem);
        if (!at)
                return cli_fail_local(cli, EXIT_FAILED, "ConfigInvalid", "`mcpcred reload`, then try again.", "%s %s.",
                                      file.path, problem);
        text = insert(&file, at, variable, &size);
        if (!text)
                return cli_fail_local(cli, EXIT_FAILED, "NoMemory", "", "There is no memory.");
        r = file_replace(cli, &file, text, size);
        if (r == 0)
                r = reload(cli, &file);
        return r ? r : say_done(cli, &place, variable, file.path);
}
