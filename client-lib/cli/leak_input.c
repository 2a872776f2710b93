#include "leak_input.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* RLIMIT_MEMLOCK is 8 MiB for most users, and the library needs some of it. */
#define LOCKED_MAX (2U * 1024U * 1024U)

static int map(LeakInput *input, size_t size)
{
        void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (data == MAP_FAILED)
                return -errno;
        (void)madvise(data, size, MADV_DONTDUMP);
        (void)madvise(data, size, MADV_WIPEONFORK);
        (void)mlock2(data, size < LOCKED_MAX ? size : LOCKED_MAX, MLOCK_ONFAULT);
        input->data = data;
        input->mapped = size;
        return 0;
}

int leak_input_read(LeakInput *ret, int fd, size_t max)
{
        LeakInput input = { 0 };
        int r = map(&input, max + 1);

        while (r == 0 && input.size <= max) {
                ssize_t n = read(fd, input.data + input.size, max + 1 - input.size);

                if (n == 0)
                        break;
                if (n > 0)
                        input.size += (size_t)n;
                else if (errno != EINTR)
                        r = -errno;
        }
        if (r == 0 && input.size > max)
                r = LEAK_INPUT_E_TOO_LONG;
        if (r == 0)
                *ret = input;
        else
                leak_input_free(&input);
        return r;
}

int leak_input_copy(LeakInput *ret, const void *data, size_t size)
{
        int r = map(ret, size + 1);

        if (r == 0) {
                memcpy(ret->data, data, size);
                ret->size = size;
        }
        return r;
}

void leak_input_free(LeakInput *input)
{
        if (!input->data)
                return;
        explicit_bzero(input->data, input->size);
        (void)munmap(input->data, input->mapped);
        *input = (LeakInput){ 0 };
}
