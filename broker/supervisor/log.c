#include "supervisor/log.h"
#include "base/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

void log_sanitise(char *text)
{
        uint32_t c = 0;

        for (size_t n; *text; text += n) {
                n = text_character(text, &c);
                if (n == 0 || text_is_control(c))
                        memset(text, '?', n ? n : 1);
                n = n ? n : 1;
        }
}

void log_line(const Log *log, LogLevel level, const char *who, const char *format, ...)
{
        static const char *const priorities[] = { "<7>", "<6>", "<4>", "<3>" };
        char head[64], text[LOG_LINE_MAX];
        struct iovec parts[3] = { { head, 0 }, { text, 0 }, { (char[]){ '\n' }, 1 } };
        va_list args;

        if (level < log->minimum)
                return;
        va_start(args, format);
        (void)vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        log_sanitise(text);
        (void)snprintf(head, sizeof(head), "%smcpcredd: %s: ",
                       log->priorities
                               ? priorities[level <= LOG_LEVEL_ERROR ? level : LOG_LEVEL_ERROR]
                               : "",
                       who);
        parts[0].iov_len = strlen(head);
        parts[1].iov_len = strlen(text);
        /* One call, so that lines of several processes do not mix. A log that is full or gone must
         * not stop the broker: the audit log is another file, with other rules. */
        if (writev(log->fd, parts, 3) < 0)
                return;
}
