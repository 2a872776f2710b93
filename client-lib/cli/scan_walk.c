#include "scan_walk.h"
#include "scan_queue.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define THREADS_MAX 16U
/* From here on a file is shared. */
#define LARGE_SIZE (16U * 1024U * 1024U)
/* Names that one thread takes at a time: enough that taking them costs nothing beside opening them. */
#define NAMES_SIZE 2048U

typedef struct Worker {
        const ScanWalk *walk;
        ScanQueue *queue;
        Scanner *scanner;
        ScanFound found;
        pthread_t thread;
} Worker;

static char *join(const char *folder, const char *name)
{
        char *path = NULL;
        size_t n = strlen(folder);

        if (n == 0)
                return strdup(name);
        return asprintf(&path, "%s%s%s", folder, folder[n - 1] == '/' ? "" : "/", name) < 0 ? NULL : path;
}

/* ---- one file ---- */

static ssize_t read_fd(void *userdata, void *to, size_t size)
{
        ssize_t n = read(*(int *)userdata, to, size);

        return n < 0 ? -errno : n;
}

static void trouble(Worker *worker, const char *folder, const char *name, int error)
{
        _cleanup_(free_memory) char *path = join(folder, name);

        scan_found_trouble(&worker->found, path ? path : name, "%s", strerror(error));
}

/* Takes the descriptor over. */
static void share(Worker *worker, int fd, const char *folder, const char *name, uint64_t size)
{
        ScanLarge *large = calloc(1, sizeof(*large));
        ScanTask task = { .kind = SCAN_TASK_PART, .large = large };
        char *path = join(folder, name);

        if (!large || !path) {
                worker->found.no_memory = true;
                free(large);
                free(path);
                (void)close(fd);
                return;
        }
        *large = (ScanLarge){ .fd = fd, .path = path, .size = size };
        worker->found.looked_at++;
        worker->found.bytes += size;
        if (!scan_queue_push(worker->queue, &task)) {
                worker->found.no_memory = true;
                scan_large_free(large);
        }
}

static void part(Worker *worker, const ScanTask *task)
{
        ScanLarge *large = task->large;
        ScanResult result = { 0 };
        int r = scanner_run_part(worker->scanner, large->fd, task->at, task->end, &result);

        if (!scan_queue_part_done(worker->queue, large, &result, r))
                return;
        r = large->error;
        if (r == 0 && large->result.n > 0)
                r = scan_locate(large->fd, &large->result);
        if (r)
                scan_found_trouble(&worker->found, large->path, "%s", strerror(-r));
        scan_found_add(&worker->found, large->path, NULL, NULL, &large->result);
        scan_large_free(large);
}

static void whole(Worker *worker, int fd, const char *folder, const char *name, const ScanSource *source)
{
        ScanResult result = { 0 };
        uint64_t bytes;
        int r = scanner_run(worker->scanner, source, &result, &bytes);

        worker->found.looked_at++;
        worker->found.bytes += bytes;
        if (r == 0 && result.n > 0 && result.hits[0].line == 0)
                r = scan_locate(fd, &result);
        if (r)
                trouble(worker, folder, name, -r);
        if (result.n > 0 || result.unchecked) {
                _cleanup_(free_memory) char *path = join(folder, name);

                scan_found_add(&worker->found, path ? path : name, NULL, NULL, &result);
        }
        scan_result_clear(&result);
}

/* A regular file; what has become something else since it was listed is not one. */
static void file(Worker *worker, int at, const char *folder, const char *name, int flags)
{
        int fd = openat(at, name, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC | flags);
        ScanSource source = { .read = read_fd, .userdata = &fd };
        struct stat st;

        if (fd < 0) {
                if (errno != ELOOP && errno != ENOENT)
                        trouble(worker, folder, name, errno);
                return;
        }
        if (fstat(fd, &st) < 0)
                trouble(worker, folder, name, errno);
        else if (!S_ISREG(st.st_mode))
                ;
        else if (worker->walk->max_size && (uint64_t)st.st_size > worker->walk->max_size)
                worker->found.too_large++;
        else if ((uint64_t)st.st_size >= LARGE_SIZE) {
                share(worker, fd, folder, name, (uint64_t)st.st_size);
                return;
        } else {
                /* Some have a size of 0 and more in them (/proc). */
                source.size = st.st_size ? (uint64_t)st.st_size : UINT64_MAX;
                whole(worker, fd, folder, name, &source);
        }
        (void)close(fd);
}

static void stream(Worker *worker, int fd, const char *path)
{
        ScanSource source = { .read = read_fd, .userdata = &fd, .size = UINT64_MAX, .once = true };

        whole(worker, fd, "", path, &source);
}

/* ---- folders ---- */

/* What has no files of anybody's, but the kernel's own state without end. */
static bool is_of_the_kernel(int fd)
{
        static const long kinds[] = { PROC_SUPER_MAGIC, SYSFS_MAGIC,   DEBUGFS_MAGIC, TRACEFS_MAGIC,
                                      SECURITYFS_MAGIC, CGROUP2_SUPER_MAGIC, BPF_FS_MAGIC };
        struct statfs st;

        if (fstatfs(fd, &st) < 0)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if ((long)st.f_type == kinds[i])
                        return true;
        return false;
}

typedef struct Names {
        char *text;
        size_t size, room;
} Names;

static bool add_name(Names *names, const char *name)
{
        size_t n = strlen(name) + 1, room = names->room ? names->room : NAMES_SIZE;
        char *text;

        while (room - names->size < n)
                room *= 2;
        text = room == names->room ? names->text : realloc(names->text, room);
        if (!text)
                return false;
        names->text = text;
        names->room = room;
        memcpy(names->text + names->size, name, n);
        names->size += n;
        return true;
}

static unsigned char type_of(DIR *stream, const struct dirent *entry)
{
        struct stat st;

        if (entry->d_type != DT_UNKNOWN)
                return entry->d_type;
        if (fstatat(dirfd(stream), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return DT_REG; /* opening it will say why */
        return S_ISREG(st.st_mode) ? DT_REG : S_ISDIR(st.st_mode) ? DT_DIR : DT_UNKNOWN;
}

static void list(Worker *worker, DIR *stream, const char *path, Names *files, Names *folders)
{
        const struct dirent *entry;

        while (errno = 0, (entry = readdir(stream))) {
                unsigned char type = type_of(stream, entry);
                const char *name = entry->d_name;
                bool kept = true;

                if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                        continue;
                if (type == DT_REG)
                        kept = add_name(files, name);
                else if (type == DT_DIR)
                        kept = add_name(folders, name);
                worker->found.no_memory = worker->found.no_memory || !kept;
        }
        if (errno)
                trouble(worker, "", path, errno);
}

static void push(Worker *worker, const ScanTask *task)
{
        if (!scan_queue_push(worker->queue, task))
                worker->found.no_memory = true;
}

static void push_folders(Worker *worker, const char *path, const Names *folders)
{
        for (size_t at = 0; at < folders->size; at += strlen(folders->text + at) + 1) {
                ScanTask task = { .kind = SCAN_TASK_FOLDER, .path = join(path, folders->text + at) };

                if (task.path)
                        push(worker, &task);
                else
                        worker->found.no_memory = true;
        }
}

static void look_at_names(Worker *worker, const ScanTask *task)
{
        for (size_t at = 0; at < task->names_size; at += strlen(task->names + at) + 1)
                file(worker, task->folder->fd, task->folder->path, task->names + at, O_NOFOLLOW);
}

/* In portions, for whoever has nothing to do; the folder stays open until the last one is done. */
static void push_files(Worker *worker, ScanFolder *folder, const Names *files)
{
        for (size_t at = 0, end; at < files->size; at = end) {
                ScanTask task = { .kind = SCAN_TASK_NAMES, .folder = folder };

                for (end = at; end < files->size && end - at < NAMES_SIZE;)
                        end += strlen(files->text + end) + 1;
                task.names = malloc(end - at);
                if (!task.names) {
                        worker->found.no_memory = true;
                        continue;
                }
                memcpy(task.names, files->text + at, end - at);
                task.names_size = end - at;
                (void)pthread_mutex_lock(&worker->queue->lock);
                folder->waiting++;
                (void)pthread_mutex_unlock(&worker->queue->lock);
                push(worker, &task);
        }
}

/* The folders first, so that the files, which hold it open, have their turn before them. */
static void folder(Worker *worker, ScanTask *task)
{
        const char *shown = task->root && strcmp(task->path, ".") == 0 ? "" : task->path;
        Names files = { 0 }, folders = { 0 };
        int fd = open(task->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (task->root ? 0 : O_NOFOLLOW));
        ScanFolder *self = calloc(1, sizeof(*self));
        DIR *stream = NULL;

        if (fd < 0 && (errno == ELOOP || errno == ENOTDIR || errno == ENOENT) && !task->root) {
                free(self);
                return; /* it is none any more */
        }
        if (fd >= 0 && !task->root && is_of_the_kernel(fd))
                cli_note("%s: not looked at: it is the kernel's, not a disk's; name it to have it looked at",
                         task->path);
        else if (fd >= 0)
                stream = fdopendir(fd);
        else
                scan_found_trouble(&worker->found, task->path, "%s", strerror(errno));
        if (!stream || !self) {
                worker->found.no_memory = worker->found.no_memory || !self;
                if (stream)
                        (void)closedir(stream);
                else if (fd >= 0)
                        (void)close(fd);
                free(self);
                return;
        }
        list(worker, stream, task->path, &files, &folders);
        *self = (ScanFolder){ .fd = fcntl(fd, F_DUPFD_CLOEXEC, 3), .path = strdup(shown), .waiting = 1 };
        if (self->fd < 0)
                trouble(worker, "", task->path, errno);
        (void)closedir(stream);
        push_folders(worker, shown, &folders);
        if (self->fd >= 0 && self->path)
                push_files(worker, self, &files);
        task->folder = self; /* let go of when the task is done */
        free(files.text);
        free(folders.text);
}

/* ---- all of it ---- */

static void work(Worker *worker)
{
        ScanTask task;

        while (scan_queue_pop(worker->queue, &task)) {
                switch (task.kind) {
                case SCAN_TASK_FOLDER:
                        folder(worker, &task);
                        break;
                case SCAN_TASK_NAMES:
                        look_at_names(worker, &task);
                        break;
                case SCAN_TASK_PART:
                        part(worker, &task);
                        break;
                }
                scan_queue_done(worker->queue, &task);
        }
}

static void *work_thread(void *userdata)
{
        work(userdata);
        return NULL;
}

/* One that the user named: what it is decides how it is read. */
static void start(Worker *worker, const char *path)
{
        ScanTask task = { .kind = SCAN_TASK_FOLDER, .root = true };
        struct stat st;
        int fd;

        if (strcmp(path, "-") == 0) {
                stream(worker, STDIN_FILENO, "(stdin)");
                return;
        }
        if (stat(path, &st) < 0) {
                scan_found_trouble(&worker->found, path, "%s", strerror(errno));
                return;
        }
        if (S_ISDIR(st.st_mode)) {
                task.path = strdup(path);
                if (task.path)
                        push(worker, &task);
                else
                        worker->found.no_memory = true;
                return;
        }
        if (S_ISREG(st.st_mode)) {
                file(worker, AT_FDCWD, "", path, 0);
                return;
        }
        fd = open(path, O_RDONLY | O_NOCTTY | O_CLOEXEC);
        if (fd < 0) {
                scan_found_trouble(&worker->found, path, "%s", strerror(errno));
                return;
        }
        stream(worker, fd, path);
        (void)close(fd);
}

static unsigned thread_count(const ScanWalk *walk)
{
        cpu_set_t set;
        unsigned n = walk->threads;

        if (n == 0)
                n = sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : (unsigned)CPU_COUNT(&set);
        return n > THREADS_MAX ? THREADS_MAX : n;
}

static void run_threads(const ScanWalk *walk, Worker *first, ScanFound *found)
{
        unsigned n = thread_count(walk), running = 1;
        Worker *others = calloc(n, sizeof(*others));

        for (; others && running < n; running++) {
                Worker *worker = &others[running];

                *worker = (Worker){ .walk = walk, .queue = first->queue, .found.needles = walk->needles };
                if (scanner_new(&worker->scanner, walk->needles))
                        break;
                if (pthread_create(&worker->thread, NULL, work_thread, worker)) {
                        scanner_free(worker->scanner);
                        break;
                }
        }
        work(first);
        for (unsigned i = 1; others && i < running; i++) {
                (void)pthread_join(others[i].thread, NULL);
                scanner_free(others[i].scanner);
                scan_found_merge(found, &others[i].found);
        }
        free(others);
}

void scan_walk(const ScanWalk *walk, const char *const *paths, size_t n, ScanFound *found)
{
        ScanQueue queue;
        Worker first = { .walk = walk, .queue = &queue, .found.needles = walk->needles };

        if (scanner_new(&first.scanner, walk->needles)) {
                found->no_memory = true;
                return;
        }
        scan_queue_init(&queue);
        /* From the last, as the newest comes first. */
        for (size_t i = n; i-- > 0;)
                start(&first, paths[i]);
        run_threads(walk, &first, found);
        scan_queue_deinit(&queue);
        scanner_free(first.scanner);
        scan_found_merge(found, &first.found);
}
