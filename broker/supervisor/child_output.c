#include "supervisor/child_output.h"
#include "base/fd.h"
#include <sys/epoll.h>
#include <unistd.h>

void child_output_init(ChildOutput *output, const Log *log, const Clock *clock, const char *who)
{
        *output = (ChildOutput){ .log = log, .clock = clock, .who = who, .fd = -1 };
}

void child_output_limit(ChildOutput *output, size_t size)
{
        output->limited = true;
        output->left = size;
}

void child_output_line(ChildOutput *output, LogLevel level, const char *text)
{
        uint64_t second = clock_boot(output->clock) / USEC_PER_SEC;

        if (second != output->second) {
                if (output->dropped > 0)
                        log_line(output->log, LOG_LEVEL_WARNING, output->who,
                                 "%u further lines were dropped", output->dropped);
                output->second = second;
                output->lines = output->dropped = 0;
        }
        if (output->lines >= CHILD_OUTPUT_RATE) {
                output->dropped++;
                return;
        }
        output->lines++;
        log_line(output->log, level, output->who, "%s", text);
}

static void end_line(ChildOutput *output)
{
        output->line[output->size] = '\0';
        if (output->size > 0)
                child_output_line(output, LOG_LEVEL_WARNING, output->line);
        output->size = 0;
}

static void take(ChildOutput *output, const char *data, size_t size)
{
        size_t taken = output->limited ? MIN(size, output->left) : size;

        for (size_t i = 0; i < taken; i++) {
                if (data[i] != '\n' && output->size < CHILD_OUTPUT_LINE_MAX)
                        output->line[output->size++] = data[i] ? data[i] : '?';
                if (data[i] == '\n' || output->size == CHILD_OUTPUT_LINE_MAX)
                        end_line(output);
        }
        if (output->limited)
                output->left -= taken;
        if (taken < size && !output->cut) {
                end_line(output);
                log_line(output->log, LOG_LEVEL_WARNING, output->who, "what it writes beyond this is dropped");
                output->cut = true;
        }
}

/* One bounded read. Whether there may be more. */
static bool read_some(ChildOutput *output)
{
        char data[4096];
        ssize_t n = read(output->fd, data, sizeof(data));

        if (n > 0)
                take(output, data, (size_t)n);
        else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
                output->source = source_free(output->source);
                output->fd = fd_close(output->fd);
                end_line(output);
        }
        return n > 0;
}

static int on_readable(void *userdata, UNUSED uint32_t events)
{
        (void)read_some(userdata);
        return 0;
}

int child_output_watch(ChildOutput *output, Loop *loop, int fd)
{
        int r;

        child_output_close(output);
        output->fd = fd;
        r = fd_set_nonblock(fd);
        if (r == 0)
                r = source_new(&output->source, loop, fd, EPOLLIN, on_readable, output);
        if (r < 0)
                output->fd = fd_close(fd);
        return r;
}

void child_output_close(ChildOutput *output)
{
        /* A pipe holds 64 KiB: sixteen reads empty it. A grandchild may keep the other end open. */
        for (int i = 0; i < 16 && output->fd >= 0 && read_some(output); i++)
                ;
        output->source = source_free(output->source);
        output->fd = fd_close(output->fd);
        end_line(output);
}
