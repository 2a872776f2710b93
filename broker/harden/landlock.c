#include "base/fd.h"
#include "harden/parts.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The kernel's interface, spelled out here up to ABI 7, since the headers we build with may be
 * older than the kernel we run on. Names differ from <linux/landlock.h> on purpose.
 */
enum {
        FS_EXECUTE = 1 << 0,
        FS_WRITE_FILE = 1 << 1,
        FS_READ_FILE = 1 << 2,
        FS_READ_DIR = 1 << 3,
        FS_REMOVE_FILE = 1 << 5,
        FS_MAKE_REG = 1 << 8,
        FS_ABI_1 = (1 << 13) - 1, /* the thirteen rights of the first version */
        FS_REFER = 1 << 13,       /* ABI 2 */
        FS_TRUNCATE = 1 << 14,    /* ABI 3 */
        FS_IOCTL_DEV = 1 << 15,   /* ABI 5 */

        NET_BIND_TCP = 1 << 0, /* ABI 4 */
        NET_CONNECT_TCP = 1 << 1,

        SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0, /* ABI 6 */
        SCOPE_SIGNAL = 1 << 1,

        CREATE_RULESET_VERSION = 1 << 0,
        RULE_PATH_BENEATH = 1,
};

typedef struct RulesetAttr {
        uint64_t fs;
        uint64_t net;
        uint64_t scoped;
} RulesetAttr;

typedef struct PathBeneathAttr {
        uint64_t allowed;
        int32_t parent_fd;
} __attribute__((packed)) PathBeneathAttr;

_Static_assert(sizeof(RulesetAttr) == 24, "as the kernel has it");
_Static_assert(sizeof(PathBeneathAttr) == 12, "as the kernel has it");

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule       445
#define SYS_landlock_restrict_self  446
#endif

/* What may be done to a file itself; a rule on anything but a directory may name nothing else. */
#define FS_OF_FILE (FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE)

int harden_landlock_abi(void)
{
        long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);

        return abi > 0 ? (int)abi : 0;
}

/* Everything that this kernel can forbid and the role has no use for. */
static RulesetAttr handled(const HardenProfile *profile, int abi)
{
        RulesetAttr attr = { .fs = FS_ABI_1 };

        if (abi >= 2)
                attr.fs |= FS_REFER;
        if (abi >= 3)
                attr.fs |= FS_TRUNCATE;
        if (abi >= 4)
                attr.net = NET_BIND_TCP | (profile->network ? 0 : NET_CONNECT_TCP);
        if (abi >= 5)
                attr.fs |= FS_IOCTL_DEV;
        /* A session bus may listen on an abstract socket, so the keyring must reach those. */
        if (abi >= 6)
                attr.scoped =
                        SCOPE_SIGNAL | (profile->unix_sockets ? 0 : SCOPE_ABSTRACT_UNIX_SOCKET);
        return attr;
}

/* The kernel takes a longer struct only if what it does not know is zero; older ones want it short.
 */
static size_t attr_size(int abi)
{
        return abi < 4 ? sizeof(uint64_t) : abi < 6 ? 2 * sizeof(uint64_t) : sizeof(RulesetAttr);
}

static int add_path(int ruleset, const RulesetAttr *attr, const HardenPath *path)
{
        _cleanup_(fd_closep) int fd = open(path->path, O_PATH | O_CLOEXEC);
        PathBeneathAttr rule = { .allowed = FS_READ_FILE | FS_READ_DIR, .parent_fd = fd };
        struct stat st;

        if (fd < 0)
                return path->optional && (errno == ENOENT || errno == ENOTDIR || errno == EACCES)
                               ? 0
                               : error_errno();
        if (fstat(fd, &st) < 0)
                return error_errno();
        if (path->write)
                rule.allowed |= FS_WRITE_FILE | FS_TRUNCATE | FS_MAKE_REG | FS_REMOVE_FILE;
        if (!S_ISDIR(st.st_mode))
                rule.allowed &= FS_OF_FILE;
        rule.allowed &= attr->fs;
        if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) < 0)
                return error_errno();
        return 0;
}

static int add_paths(int ruleset, const RulesetAttr *attr, const HardenPath *paths, size_t n_paths)
{
        for (size_t i = 0; i < n_paths; i++) {
                int r = add_path(ruleset, attr, &paths[i]);

                if (r < 0)
                        return r;
        }
        return 0;
}

int harden_landlock(const HardenProfile *profile, const HardenPath *paths, size_t n_paths)
{
        _cleanup_(fd_closep) int ruleset = -1;
        int abi = harden_landlock_abi(), r;
        RulesetAttr attr = handled(profile, abi);

        if (abi == 0)
                return HARDEN_E_NO_LANDLOCK;
        ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, attr_size(abi), 0);
        if (ruleset < 0)
                return error_errno();
        r = add_paths(ruleset, &attr, profile->paths, profile->n_paths);
        if (r == 0)
                r = add_paths(ruleset, &attr, paths, n_paths);
        if (r < 0)
                return r;
        return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? error_errno() : 0;
}
