#include "supervisor/journal.h"
#include "base/fd.h"
#include <sys/socket.h>
#include <sys/un.h>

/* A message and sixteen fields at their largest. */
#define ENTRY_MAX (32U * 1024U)

int journal_open(Journal *journal, const char *path)
{
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0)
                return error_errno();
        *journal = (Journal){ .fd = fd, .path = path };
        return 0;
}

void journal_close(Journal *journal)
{
        journal->fd = fd_close(journal->fd);
}

/* What the journal itself says of an entry begins with "_"; who wrote it is no field of ours either. */
static bool is_own_field(const char *name)
{
        if (strcmp(name, "MESSAGE_ID") == 0)
                return true;
        return strncmp(name, "MCPCRED_", 8) == 0 && strlen(name) <= 64 &&
               strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == strlen(name);
}

/* "NAME=value", or with a newline in it: the name, the value's length in 64 bits little-endian, the value. */
static int append_field(Buf *out, const char *name, const char *value)
{
        uint64_t size = strlen(value);
        uint8_t length[8];
        int r;

        if (!strchr(value, '\n'))
                return buf_printf(out, "%s=%s\n", name, value);
        for (size_t i = 0; i < sizeof(length); i++)
                length[i] = (uint8_t)(size >> 8 * i);
        r = buf_printf(out, "%s\n", name);
        if (r == 0)
                r = buf_append(out, length, sizeof(length));
        if (r == 0)
                r = buf_append_text(out, value);
        return r < 0 ? r : buf_append_u8(out, '\n');
}

int journal_format(const JournalRequest *entry, Buf *out)
{
        unsigned priority = (unsigned)MIN(entry->priority, UINT64_C(7));
        int r = append_field(out, "MESSAGE", entry->message);

        if (r == 0)
                r = buf_printf(out, "PRIORITY=%u\nSYSLOG_IDENTIFIER=mcpcredd\n", priority);
        for (size_t i = 0; r == 0 && i < entry->fields.n; i++)
                if (is_own_field(entry->fields.items[i].key))
                        r = append_field(out, entry->fields.items[i].key, entry->fields.items[i].value);
        return r;
}

bool journal_send(const Journal *journal, const JournalRequest *entry)
{
        _cleanup_(buf_deinit) Buf buf = BUF_NULL(ENTRY_MAX);
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        if (journal->fd < 0 || strlen(journal->path) >= sizeof(address.sun_path) || journal_format(entry, &buf) < 0)
                return false;
        memcpy(address.sun_path, journal->path, strlen(journal->path) + 1);
        return sendto(journal->fd, buf.data, buf.size, MSG_NOSIGNAL | MSG_DONTWAIT, (const void *)&address,
                      sizeof(address)) >= 0;
}
