#pragma once
/* What a child says on stderr or in Log notices, line by line into the log, at a bounded rate. */
#include "loop/loop.h"
#include "supervisor/log.h"

/* Lines of one child in one second; what is more is counted and not written. */
#define CHILD_OUTPUT_RATE     200U
#define CHILD_OUTPUT_LINE_MAX 1024U

typedef struct ChildOutput {
        const Log *log;
        const Clock *clock;
        const char *who; /* borrowed */
        int fd;          /* reading end of the pipe, or -1 */
        Source *source;
        char line[CHILD_OUTPUT_LINE_MAX + 1];
        size_t size;
        uint64_t second; /* the window that `lines` counts */
        unsigned lines, dropped;
        size_t left;  /* with `limited`: bytes that are still logged */
        bool limited;
        bool cut;     /* it was said that there are no more */
} ChildOutput;

void child_output_init(ChildOutput *output, const Log *log, const Clock *clock, const char *who)
        NONNULL(1, 2, 3, 4);
/* Logs no more than this many bytes of what comes from the pipe; the rest is read and dropped. */
void child_output_limit(ChildOutput *output, size_t size) NONNULL(1);
/* Reads from a pipe; `fd` is taken over, also on failure. */
int child_output_watch(ChildOutput *output, Loop *loop, int fd) NODISCARD NONNULL(1, 2);
void child_output_line(ChildOutput *output, LogLevel level, const char *text) NONNULL(1, 3);
/* Reads what is left in the pipe and closes it. */
void child_output_close(ChildOutput *output) NONNULL(1);
