#include "sandbox_filter.h"
#include "cli.h"
#include <asm/termbits.h>
#include <asm/ioctls.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef TIOCLINUX
#define TIOCLINUX 0x541c
#endif

/* ioctl's number in each convention that the kernel may offer beside the native one. */
static const struct {
        uint32_t arch, number;
} ioctls[] = {
#if defined(__x86_64__)
        { AUDIT_ARCH_X86_64, __NR_ioctl },
        { AUDIT_ARCH_X86_64, 0x40000000 + 514 }, /* x32 */
        { AUDIT_ARCH_I386, 54 },
#elif defined(__aarch64__)
        { AUDIT_ARCH_AARCH64, __NR_ioctl },
        { AUDIT_ARCH_ARM, 54 },
#elif defined(__riscv) && __riscv_xlen == 64
        { AUDIT_ARCH_RISCV64, __NR_ioctl },
#elif defined(__i386__)
        { AUDIT_ARCH_I386, __NR_ioctl },
#else
        { 0, 0 },
#endif
};

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LOW_HALF 0U
#else
#define LOW_HALF 4U
#endif

#define N      ARRAY_SIZE(ioctls)
#define LENGTH (4 * N + 1 + N + 1 + 5)
#define LOAD(offset)                                                                               \
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(offset))
/* To instruction `to` if equal, from instruction `at`; else past `skip` more. */
#define EQUAL(value, to, at, skip)                                                                 \
        (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value),                           \
                                     (uint8_t)((to) - (at) - 1), (skip))
#define RETURN(value) (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, (value))

static void build(struct sock_filter program[LENGTH])
{
        const size_t request = 4 * N + 1 + N + 1, allow = request + 3, deny = request + 4;
        size_t at = 0;

        for (size_t i = 0; i < N; i++, at += 4) {
                program[at] = LOAD(offsetof(struct seccomp_data, arch));
                program[at + 1] = EQUAL(ioctls[i].arch, at + 2, at + 1, 2);
                program[at + 2] = LOAD(offsetof(struct seccomp_data, nr));
                program[at + 3] = EQUAL(ioctls[i].number, request, at + 3, 0);
        }
        program[at++] = LOAD(offsetof(struct seccomp_data, arch));
        for (size_t i = 0; i < N; i++, at++)
                program[at] = EQUAL(ioctls[i].arch, allow, at, 0);
        program[at++] = RETURN(SECCOMP_RET_ERRNO | ENOSYS); /* a convention that we do not know */
        program[at++] = LOAD(offsetof(struct seccomp_data, args[1]) + LOW_HALF);
        program[at] = EQUAL(TIOCSTI, deny, at, 0);
        at++;
        program[at] = EQUAL(TIOCLINUX, deny, at, 0);
        program[allow] = RETURN(SECCOMP_RET_ALLOW);
        program[deny] = RETURN(SECCOMP_RET_ERRNO | EPERM);
}

int sandbox_filter_new(void)
{
        struct sock_filter program[LENGTH];
        int fd, error;

        if (ioctls[0].arch == 0)
                return -ENOSYS;
        build(program);
        fd = memfd_create("terminal", MFD_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (write(fd, program, sizeof(program)) == sizeof(program) && lseek(fd, 0, SEEK_SET) == 0)
                return fd;
        error = errno;
        (void)close(fd);
        return -error;
}
