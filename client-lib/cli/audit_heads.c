#include "audit_heads.h"
#include "strings.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Entries that are compared; of more, those that came last. */
#define HEADS_MAX 1000000U

void heads_free(Heads *heads)
{
        free(heads->items);
        heads->items = NULL;
}

static bool is_hash(const char *text)
{
        return text && strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* Fields come as text; one that is given several times comes as an array, and is none of ours. */
static bool read_entry(const char *line, Head *ret)
{
        json_t *entry = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        const char *sequence = json_string_value(json_object_get(entry, "MCPCRED_SEQUENCE"));
        const char *hash = json_string_value(json_object_get(entry, "MCPCRED_HASH"));
        char *end = NULL;
        bool good = sequence && *sequence >= '1' && *sequence <= '9' && is_hash(hash);

        errno = 0;
        if (good)
                ret->sequence = strtoull(sequence, &end, 10);
        good = good && errno == 0 && !*end;
        if (good)
                (void)snprintf(ret->hash, sizeof(ret->hash), "%s", hash);
        json_decref(entry);
        return good;
}

static bool add(Heads *heads, size_t *room, const Head *head)
{
        if (heads->n == HEADS_MAX) { /* forget the older half */
                memmove(heads->items, heads->items + HEADS_MAX / 2, HEADS_MAX / 2 * sizeof(*heads->items));
                heads->n = HEADS_MAX / 2;
        }
        if (heads->n == *room) {
                size_t wanted = *room ? 2 * *room : 1024;
                Head *grown = reallocarray(heads->items, wanted, sizeof(*grown));

                if (!grown)
                        return false;
                heads->items = grown;
                *room = wanted;
        }
        heads->items[heads->n++] = *head;
        return true;
}

bool heads_add(Heads *heads, const Head *head)
{
        size_t room = heads->n;

        return add(heads, &room, head);
}

static int by_sequence(const void *a, const void *b)
{
        const Head *x = a, *y = b;

        return (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

static bool read_entries(int fd, Heads *heads)
{
        FILE *stream = fdopen(fd, "r");
        char *line = NULL;
        size_t room = 0, size = 0;
        bool good = stream != NULL;
        Head head;

        while (good && getline(&line, &size, stream) > 0)
                if (read_entry(line, &head))
                        good = add(heads, &room, &head);
        free(line);
        if (stream)
                (void)fclose(stream);
        else
                (void)close(fd);
        if (good && heads->n > 1)
                qsort(heads->items, heads->n, sizeof(*heads->items), by_sequence);
        return good;
}

/*
 * Entries of the log in this directory, as the broker names it, from the log's own user: anybody may write to the
 * journal, which says itself who it was.
 */
static int start(const char *path, pid_t *ret_pid, int *ret_fd)
{
        const char *slash = strrchr(path, '/');
        struct stat st;
        Strings words = { 0 };
        posix_spawn_file_actions_t actions;
        int pair[2], r;

        if (stat(path, &st) < 0)
                return errno;
        strings_add(&words, "journalctl");
        strings_add(&words, "--quiet");
        strings_add(&words, "--no-pager");
        strings_add(&words, "--output=json");
        strings_add(&words, "--output-fields=MCPCRED_SEQUENCE,MCPCRED_HASH");
        strings_add_format(&words, "MCPCRED_STATE=%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
        strings_add_format(&words, "_UID=%lu", (unsigned long)st.st_uid);
        if (words.failed || pipe2(pair, O_CLOEXEC) < 0) {
                r = words.failed ? ENOMEM : errno;
                strings_free(&words);
                return r;
        }
        r = posix_spawn_file_actions_init(&actions);
        if (r == 0) {
                r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
                if (r == 0)
                        r = posix_spawn_file_actions_adddup2(&actions, pair[1], STDOUT_FILENO);
                if (r == 0)
                        r = posix_spawnp(ret_pid, "journalctl", &actions, NULL, words.items, environ);
                (void)posix_spawn_file_actions_destroy(&actions);
        }
        (void)close(pair[1]);
        if (r)
                (void)close(pair[0]);
        *ret_fd = pair[0];
        strings_free(&words);
        return r;
}

int heads_load(Cli *cli, const char *path, Heads *ret)
{
        int fd = -1, status = 0, r;
        pid_t pid = -1;

        r = start(path, &pid, &fd);
        if (r)
                return cli_fail_local(cli, EXIT_FAILED, "Journal", "Without --journal the log is compared with the state alone.",
                                      "journalctl cannot be run: %s.", strerror(r));
        if (!read_entries(fd, ret))
                return cli_fail_local(cli, EXIT_FAILED, "NoMemory", "", "There is no memory.");
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        if (ret->n == 0)
                return cli_fail_local(cli, EXIT_FAILED, "Journal",
                                      "Is there a journal, and may this user read it (group systemd-journal)?",
                                      "The journal has no entry of this log.");
        return 0;
}

void heads_rewind(Heads *heads)
{
        heads->at = heads->compared = 0;
        heads->bad = 0;
}

void heads_see(void *userdata, uint64_t sequence, const char *hash)
{
        Heads *heads = userdata;

        while (heads->at < heads->n && heads->items[heads->at].sequence <= sequence) {
                const Head *head = &heads->items[heads->at++];

                if (head->sequence < sequence) /* given up with an old file */
                        continue;
                heads->compared++;
                if (heads->bad || strcmp(head->hash, hash) == 0)
                        continue;
                heads->bad = sequence;
                heads->reason = "it is another one in the log";
        }
}

void heads_finish(Heads *heads, uint64_t first, uint64_t last)
{
        if (heads->bad || heads->n == 0 || heads->items[heads->n - 1].sequence <= last)
                return;
        heads->bad = heads->items[heads->n - 1].sequence;
        heads->reason = first ? "the log ends before it" : "the log is empty";
}
