#pragma once
/*
 * The broker's log: one line an event, to stderr. Under systemd (JOURNAL_STREAM is set) each line
 * begins with its priority as "<N>", which the journal takes off again.
 */
#include "base/error.h"
#include "wire/msg_supervisor.h"

typedef struct Log {
        int fd;           /* borrowed; where lines go */
        bool priorities;  /* begin lines with "<N>" */
        LogLevel minimum; /* less than this is dropped */
} Log;

/* Longest line, without the prefix; the rest is cut. */
#define LOG_LINE_MAX 2048U

/* `who` is the role that speaks. Control characters and bytes that are not UTF-8 become "?". */
void log_line(const Log *log, LogLevel level, const char *who, const char *format, ...)
        NONNULL(1, 3, 4) PRINTF_LIKE(4, 5);
/* Turns what a terminal or the wire must not see into "?", in place. */
void log_sanitise(char *text) NONNULL(1);
