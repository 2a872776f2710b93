#include "sandbox_listeners.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The path behind the seven fields of a line of /proc/net/unix; NULL: it has none. */
static char *path_of(char *line)
{
        line[strcspn(line, "\n")] = '\0';
        return strstr(line, " /") ? strstr(line, " /") + 1 : NULL;
}

static bool is_known(const Places *places, const char *path)
{
        for (size_t i = 0; i < places->masked.n; i++)
                if (strcmp(places->masked.items[i], path) == 0)
                        return true;
        return places_hide(places, path);
}

static void consider(Places *places, const char *path)
{
        _cleanup_(free_memory) char *found = realpath(path, NULL);
        struct stat st;

        if (!found) {
                places->masked.failed = places->masked.failed || errno == ENOMEM;
                return;
        }
        if (stat(found, &st) == 0 && S_ISSOCK(st.st_mode) &&
            faccessat(AT_FDCWD, found, W_OK, AT_EACCESS) == 0 && !is_known(places, found))
                strings_add(&places->masked, found);
}

static void read_table(Places *places)
{
        FILE *table = fopen("/proc/net/unix", "re");
        char *line = NULL, *path;
        size_t size = 0;

        if (!table)
                return;
        while (getline(&line, &size, table) >= 0)
                if ((path = path_of(line)))
                        consider(places, path);
        free(line);
        (void)fclose(table);
}

/* As the sandbox will look, which has no capability: it could not mount over what it cannot reach. */
void sandbox_listeners_mask(Places *places)
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct held[_LINUX_CAPABILITY_U32S_3], none[ARRAY_SIZE(held)];

        if (syscall(SYS_capget, &header, held) < 0)
                return;
        memcpy(none, held, sizeof(none));
        for (size_t i = 0; i < ARRAY_SIZE(none); i++)
                none[i].effective = 0;
        if (syscall(SYS_capset, &header, none) < 0)
                return;
        read_table(places);
        (void)syscall(SYS_capset, &header, held);
}
