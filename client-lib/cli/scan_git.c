#include "scan_git.h"
#include "scan_git_child.h"
#include <errno.h>
#include <string.h>

#define HEADER_MAX 256U

/* ---- objects ---- */

typedef struct Object {
        char id[65];
        char type[8];
        uint64_t size;
        GitChild *git;
        uint64_t left; /* of a streamed one */
} Object;

static bool is_id(const char *text)
{
        size_t n = strspn(text, "0123456789abcdef");

        return text[n] == '\0' && (n == 40 || n == 64);
}

static bool is_type(const char *text)
{
        return strcmp(text, "blob") == 0 || strcmp(text, "tree") == 0 || strcmp(text, "commit") == 0 ||
               strcmp(text, "tag") == 0;
}

/* "ID TYPE SIZE" */
static bool parse_header(char *line, Object *object)
{
        char *save = NULL, *id = strtok_r(line, " ", &save), *type = strtok_r(NULL, " ", &save),
             *size = strtok_r(NULL, " ", &save), *end;

        if (!id || !type || !size || !is_id(id) || !is_type(type) || *size < '0' || *size > '9')
                return false;
        memcpy(object->id, id, strlen(id) + 1);
        memcpy(object->type, type, strlen(type) + 1);
        object->size = strtoull(size, &end, 10);
        return *end == '\0';
}

/* "ID missing" */
static bool is_missing(char *line)
{
        char *space = strchr(line, ' ');

        if (!space || strcmp(space, " missing") != 0)
                return false;
        *space = '\0';
        return is_id(line);
}

static ssize_t read_object(void *userdata, void *to, size_t size)
{
        Object *object = userdata;
        GitChild *git = object->git;
        size_t n;

        if (object->left == 0)
                return 0;
        if (!git_child_want(git, 1))
                return object->left == UINT64_MAX ? 0 : -EPIPE;
        n = git->end - git->start;
        n = n > size ? size : n;
        n = n > object->left ? (size_t)object->left : n;
        memcpy(to, git->data + git->start, n);
        git->start += n;
        object->left -= object->left == UINT64_MAX ? 0 : n;
        return (ssize_t)n;
}

/* False: git's output ends, or is not what it says of itself. */
static bool look_at(Scanner *scanner, Object *object, ScanResult *result)
{
        ScanSource source = { .read = read_object, .userdata = object, .size = object->size, .once = true };
        GitChild *git = object->git;
        uint64_t bytes;

        if (object->size < GIT_BUFFER) {
                if (!git_child_want(git, (size_t)object->size + 1) ||
                    git->data[git->start + object->size] != '\n')
                        return false;
                scanner_run_bytes(scanner, (Slice){ git->data + git->start, (size_t)object->size }, result);
                git->start += (size_t)object->size + 1;
                return !result->no_memory;
        }
        object->left = object->size;
        if (scanner_run(scanner, &source, result, &bytes) || !git_child_want(git, 1) ||
            git->data[git->start] != '\n')
                return false;
        git->start++;
        return true;
}

/* An object may be longer than it says, which git does not always notice: where the next one begins nobody knows then,
 * but what is in them is looked at all the same. */
static void look_at_rest(Scanner *scanner, Object *object, const char *repository, ScanFound *found)
{
        ScanSource source = { .read = read_object, .userdata = object, .size = UINT64_MAX, .once = true };
        ScanResult result = { 0 };
        uint64_t bytes = 0;

        object->left = UINT64_MAX;
        if (scanner_run(scanner, &source, &result, &bytes))
                found->no_memory = true;
        found->bytes += bytes;
        scan_found_add(found, repository, object->id, object->type, &result);
        scan_found_trouble(found, repository, "an object is not as long as it says; what comes behind it was looked through, "
                                              "but not told apart");
}

/* All that git prints. False: it broke off. No line of it is shown: it may be of a file, and be what is looked for. */
static bool look_at_all(Scanner *scanner, GitChild *git, const char *repository, ScanFound *found)
{
        Object object = { .git = git };
        bool sound = true;
        char *line;

        while (sound && (line = git_child_line(git, HEADER_MAX))) {
                ScanResult result = { 0 };

                if (is_missing(line)) {
                        scan_found_trouble(found, repository, "git lacks the object %s", line);
                        continue;
                }
                sound = parse_header(line, &object);
                if (!sound)
                        break;
                sound = look_at(scanner, &object, &result);
                found->looked_at++;
                found->bytes += object.size;
                scan_found_add(found, repository, object.id, object.type, &result);
        }
        if (git->over && git->start == git->end)
                return sound && !git->stuck;
        look_at_rest(scanner, &object, repository, found);
        return false;
}

/* Of what git said the first line; the rest is advice. One that was cut off may end in a piece of what is looked for. */
static void say_what_it_said(const GitChild *git, bool whole, const char *repository, ScanFound *found)
{
        static const char unfinished[] = "so its history was not looked through to its end";
        _cleanup_(free_memory) char *said = scan_shown(found->needles, git->said);
        int size = (int)strcspn(git->said, "\n");

        if (!said || (size_t)size + 1 == sizeof(git->said))
                size = 0;
        if (git->stuck)
                scan_found_trouble(found, repository, "git waits for something and does not go on, %s", unfinished);
        else if (!whole)
                scan_found_trouble(found, repository, "git failed, %s%s%.*s", unfinished, size ? ": " : "", size,
                                   said ? said : "");
        else if (size > 0)
                cli_note("%s: git says: %.*s", repository, size, said);
}

void scan_git(const Needles *needles, const char *repository, ScanFound *found)
{
        static const char *const words[] = { "cat-file", "--batch", "--batch-all-objects", "--unordered", "--buffer" };
        _cleanup_(scanner_freep) Scanner *scanner = NULL;
        Strings arguments = { 0 };
        bool whole;
        GitChild git;
        int r;

        if (scanner_new(&scanner, needles)) {
                found->no_memory = true;
                return;
        }
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                strings_add(&arguments, words[i]);
        r = git_child_start(&git, repository, &arguments);
        if (r) {
                scan_found_trouble(found, repository, "git cannot be run: %s", strerror(r));
                return;
        }
        whole = look_at_all(scanner, &git, repository, found);
        whole = git_child_end(&git) && whole;
        say_what_it_said(&git, whole, repository, found);
}

/* ---- where an object came into the history ---- */

#define LINE_MAX 16384U

/* ":100644 100644 OLD NEW STATUS\tPATH" */
static void take_change(char *line, const char *commit, const char *date, GitPlace *places, size_t n)
{
        char *path = strchr(line, '\t'), *save = NULL, *object;

        if (!path)
                return;
        *path++ = '\0';
        (void)strtok_r(line, " ", &save);
        (void)strtok_r(NULL, " ", &save);
        (void)strtok_r(NULL, " ", &save);
        object = strtok_r(NULL, " ", &save);
        for (size_t i = 0; object && i < n; i++) {
                GitPlace *place = &places[i];

                if (place->path || strcmp(place->object, object) != 0)
                        continue;
                place->path = strdup(path);
                (void)snprintf(place->commit, sizeof(place->commit), "%s", commit);
                (void)snprintf(place->date, sizeof(place->date), "%s", date);
        }
}

static bool read_changes(GitChild *git, GitPlace *places, size_t n)
{
        char commit[65] = "", date[32] = "", *line;

        while ((line = git_child_line(git, LINE_MAX)))
                if (strncmp(line, "commit ", 7) == 0)
                        (void)sscanf(line + 7, "%64s %31s", commit, date);
                else if (line[0] == ':')
                        take_change(line, commit, date, places, n);
        return git->over && git->start == git->end;
}

bool scan_git_places(const char *repository, GitPlace *places, size_t n)
{
        static const char *const words[] = { "log", "--all", "--reflog", "--date-order", "--reverse", "-m", "--raw", "--no-abbrev",
                                             "--no-renames", "--no-show-signature", "--no-textconv", "--no-ext-diff",
                                             "--no-color", "--root", "-O/dev/null", "--format=commit %H %cI" };
        Strings arguments = { 0 };
        GitChild git;
        bool whole;

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                strings_add(&arguments, words[i]);
        for (size_t i = 0; i < n; i++)
                strings_add_format(&arguments, "--find-object=%s", places[i].object);
        if (git_child_start(&git, repository, &arguments))
                return false;
        whole = read_changes(&git, places, n);
        return git_child_end(&git) && whole;
}
