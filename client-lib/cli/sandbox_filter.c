#include "sandbox_filter.h"
#include "cli.h"
#include <asm/termbits.h>
#include <asm/ioctls.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef TIOCLINUX
#define TIOCLINUX 0x541c
#endif
#ifndef __NR_io_uring_setup
#define __NR_io_uring_setup 425
#endif
#ifndef __NR_clone3
#define __NR_clone3 435
#endif

#define ABSENT 0xffffffffU /* a call that a convention does not have */
#define X32    0x40000000U

/* The numbers of what is looked at, in each convention that the kernel may offer. */
static const struct Convention {
        uint32_t arch;
        uint32_t ioctl, socket, socketpair, socketcall, clone, clone3, unshare;
        uint32_t io_uring_setup, add_key, request_key, keyctl;
} conventions[] = {
#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
        { AUDIT_ARCH_I386, 54, 359, 360, 102, 120, 435, 310, 425, 286, 287, 288 },
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
        { AUDIT_ARCH_ARM, 54, 281, 288, 102, 120, 435, 337, 425, 309, 310, 311 },
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE AUDIT_ARCH_RISCV64
#endif
#ifdef NATIVE
        { NATIVE, __NR_ioctl, __NR_socket, __NR_socketpair, ABSENT, __NR_clone, __NR_clone3,
          __NR_unshare, __NR_io_uring_setup, __NR_add_key, __NR_request_key, __NR_keyctl },
#else
        { 0 },
#endif
};

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LOW_HALF 0U
#else
#define LOW_HALF 4U
#endif

/* ---- writing it ---- */

#define LENGTH_MAX 256

typedef struct Program {
        struct sock_filter code[LENGTH_MAX];
        size_t n;
} Program;

static void put(Program *to, struct sock_filter instruction)
{
        if (to->n < LENGTH_MAX)
                to->code[to->n] = instruction;
        to->n++;
}

static void put_load(Program *to, size_t offset)
{
        put(to, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void put_argument(Program *to, size_t which)
{
        put_load(to, offsetof(struct seccomp_data, args) + which * sizeof(uint64_t) + LOW_HALF);
}

static void put_return(Program *to, uint32_t value)
{
        put(to, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, value));
}

static void put_refusal(Program *to, int error)
{
        put_return(to, SECCOMP_RET_ERRNO | (uint32_t)error);
}

/* What is loaded is compared; the next `skip` instructions are for where it matches. */
static void put_match(Program *to, uint16_t comparison, uint32_t value, uint8_t skip)
{
        put(to, (struct sock_filter)BPF_JUMP((uint16_t)(BPF_JMP | comparison | BPF_K), value, 0,
                                             skip));
}

static void put_refused_call(Program *to, uint32_t number, int error)
{
        if (number == ABSENT)
                return;
        put_match(to, BPF_JEQ, number, 1);
        put_refusal(to, error);
}

/* ---- what is refused ---- */

static void put_ioctl(Program *to, uint32_t number)
{
        put_match(to, BPF_JEQ, number, 6);
        put_argument(to, 1);
        put_match(to, BPF_JEQ, TIOCSTI, 1);
        put_refusal(to, EPERM);
        put_match(to, BPF_JEQ, TIOCLINUX, 1);
        put_refusal(to, EPERM);
        put_return(to, SECCOMP_RET_ALLOW);
}

/* Families beside these are of no network namespace (AF_VSOCK reaches the machine's host and
 * whatever listens there), or are much of the kernel for nothing that a command needs. */
static void put_socket(Program *to, uint32_t number)
{
        static const uint32_t families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };

        put_match(to, BPF_JEQ, number, 2 * ARRAY_SIZE(families) + 2);
        put_argument(to, 0);
        for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
                put_match(to, BPF_JEQ, families[i], 1);
                put_return(to, SECCOMP_RET_ALLOW);
        }
        put_refusal(to, EAFNOSUPPORT);
}

/* Its arguments are in memory, out of sight; the calls of their own are there as well. */
static void put_socketcall(Program *to, uint32_t number)
{
        enum { CALL_SOCKET = 1, CALL_SOCKETPAIR = 8 };

        if (number == ABSENT)
                return;
        put_match(to, BPF_JEQ, number, 6);
        put_argument(to, 0);
        put_match(to, BPF_JEQ, CALL_SOCKET, 1);
        put_refusal(to, ENOSYS);
        put_match(to, BPF_JEQ, CALL_SOCKETPAIR, 1);
        put_refusal(to, ENOSYS);
        put_return(to, SECCOMP_RET_ALLOW);
}

static void put_flag(Program *to, uint32_t number, uint32_t flag)
{
        put_match(to, BPF_JEQ, number, 4);
        put_argument(to, 0);
        put_match(to, BPF_JSET, flag, 1);
        put_refusal(to, EPERM);
        put_return(to, SECCOMP_RET_ALLOW);
}

static void put_calls(Program *to, const struct Convention *convention)
{
        const int unknown = ENOSYS;

        put_load(to, offsetof(struct seccomp_data, nr));
#if defined(__x86_64__)
        if (convention->arch == AUDIT_ARCH_X86_64) {
                put_match(to, BPF_JGE, X32, 1);
                put_refusal(to, unknown);
        }
#endif
        put_ioctl(to, convention->ioctl);
        put_socket(to, convention->socket);
        put_socket(to, convention->socketpair);
        put_socketcall(to, convention->socketcall);
        put_flag(to, convention->clone, CLONE_NEWUSER);
        put_flag(to, convention->unshare, CLONE_NEWUSER);
        /* Its flags are in memory; the C library falls back to clone(). */
        put_refused_call(to, convention->clone3, unknown);
        put_refused_call(to, convention->io_uring_setup, unknown); /* it makes sockets too */
        put_refused_call(to, convention->add_key, EPERM);
        put_refused_call(to, convention->request_key, EPERM);
        put_refused_call(to, convention->keyctl, EPERM);
        put_return(to, SECCOMP_RET_ALLOW);
}

static void build(Program *to)
{
        for (size_t i = 0; i < ARRAY_SIZE(conventions); i++) {
                Program calls = { .n = 0 };

                put_calls(&calls, &conventions[i]);
                put_load(to, offsetof(struct seccomp_data, arch));
                put_match(to, BPF_JEQ, conventions[i].arch, (uint8_t)calls.n);
                for (size_t k = 0; k < calls.n; k++)
                        put(to, calls.code[k]);
        }
        put_refusal(to, ENOSYS); /* a convention that we do not know */
}

int sandbox_filter_new(void)
{
        Program program = { .n = 0 };
        size_t size;
        int fd, error;

        if (conventions[0].arch == 0)
                return -ENOSYS;
        build(&program);
        if (program.n > LENGTH_MAX)
                return -E2BIG;
        size = program.n * sizeof(program.code[0]);
        fd = memfd_create("filter", MFD_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (write(fd, program.code, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0)
                return fd;
        error = errno;
        (void)close(fd);
        return -error;
}
