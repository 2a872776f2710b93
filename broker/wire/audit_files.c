#include "wire/audit_files.h"
#include "base/fd.h"
#include "base/text.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char prefix[] = AUDIT_FILE_NAME ".";

void audit_files_deinit(AuditFiles *files)
{
        free(files->first);
        *files = AUDIT_FILES_NULL;
}

void audit_file_name(uint64_t first, char out[AUDIT_FILE_NAME_SIZE])
{
        if (first > 0)
                (void)snprintf(out, AUDIT_FILE_NAME_SIZE, "%s%llu", prefix, (unsigned long long)first);
        else
                (void)snprintf(out, AUDIT_FILE_NAME_SIZE, "%s", AUDIT_FILE_NAME);
}

/* Digits without a leading zero, so that a sequence has one name. */
static bool is_former(const char *name, uint64_t *ret_first)
{
        const char *digits = name + sizeof(prefix) - 1;

        return strncmp(name, prefix, sizeof(prefix) - 1) == 0 && *digits >= '1' && *digits <= '9' &&
               text_parse_u64(digits, ret_first) == 0;
}

static int by_sequence(const void *a, const void *b)
{
        const uint64_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

static int collect(DIR *directory, AuditFiles *files)
{
        const struct dirent *entry;
        size_t room = 0;
        uint64_t first;

        while ((entry = readdir(directory))) {
                if (!is_former(entry->d_name, &first))
                        continue;
                if (files->n == room) {
                        uint64_t *grown;

                        room = room ? 2 * room : 32;
                        grown = reallocarray(files->first, room, sizeof(*grown));
                        if (!grown)
                                return -ENOMEM;
                        files->first = grown;
                }
                files->first[files->n++] = first;
        }
        return 0;
}

int audit_files_list(const char *directory, AuditFiles *ret)
{
        AuditFiles files = AUDIT_FILES_NULL;
        DIR *open_directory = opendir(directory);
        int r;

        if (!open_directory)
                return error_errno();
        r = collect(open_directory, &files);
        (void)closedir(open_directory);
        if (r < 0) {
                audit_files_deinit(&files);
                return r;
        }
        if (files.n > 1)
                qsort(files.first, files.n, sizeof(*files.first), by_sequence);
        *ret = files;
        return 0;
}

int audit_file_open(const char *directory, uint64_t first, int *ret_fd, uint64_t *ret_size)
{
        char name[AUDIT_FILE_NAME_SIZE];
        _cleanup_(fd_closep) int at = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
        struct stat st;

        if (at < 0)
                return error_errno();
        audit_file_name(first, name);
        fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 || fstat(fd, &st) < 0)
                return error_errno();
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        *ret_fd = take_fd(&fd);
        *ret_size = (uint64_t)st.st_size;
        return 0;
}

int audit_tail_read(int fd, uint64_t size, AuditTail *tail)
{
        size_t want = (size_t)MIN(size, (uint64_t)AUDIT_TAIL_SIZE), start;
        const uint8_t *data;
        uint8_t *room;
        ssize_t n;
        int r = buf_reserve(&tail->bytes, want, &room);

        if (r < 0)
                return r;
        n = pread(fd, room, want, (off_t)(size - want));
        if (n < 0)
                return error_errno();
        if ((size_t)n != want)
                return -EIO;
        buf_commit(&tail->bytes, want);
        data = tail->bytes.data;
        for (start = want; start > 0 && data[start - 1] != '\n';)
                start--;
        tail->partial = slice(data + start, want - start);
        if (start == 0) {
                tail->long_line = want == AUDIT_TAIL_SIZE;
                return 0;
        }
        for (want = start - 1; want > 0 && data[want - 1] != '\n';)
                want--;
        tail->line = slice(data + want, start - 1 - want);
        return 0;
}

void audit_tail_deinit(AuditTail *tail)
{
        buf_deinit(&tail->bytes);
}
