#pragma once
/* One packet of a SOCK_SEQPACKET socket, or bytes of a stream, with the descriptors beside it. */
#include "base/error.h"
#include "base/macros.h"
#include "base/slice.h"
#include <sys/types.h>

#define PACKET_FDS_MAX 8U

typedef struct Packet {
        size_t size;
        int fds[PACKET_FDS_MAX]; /* close-on-exec, owned by whoever received it */
        size_t n_fds;
        bool truncated;    /* bytes or descriptors did not fit: they are lost */
        bool has_sender;   /* SO_PASSCRED is set on the socket */
        pid_t sender_pid;
        uid_t sender_uid;
} Packet;

/* 1: a packet, 0: end of file, -EAGAIN and other -errno. */
int packet_receive(int fd, void *data, size_t capacity, Packet *ret) NODISCARD NONNULL(2, 4);
/*
 * The same where no descriptor is expected, on a socket with SO_PASSCRED. The kernel then lets go of those
 * that come, and says that something is truncated. Closing one here could take forever: to close a file of a
 * FUSE file system is to wait for whoever serves it.
 */
int packet_receive_bare(int fd, void *data, size_t capacity, Packet *ret) NODISCARD NONNULL(2, 4);
/* Sends all of it or -errno (-EAGAIN when the peer does not read). On a stream, `ret_sent` says how
 * much went; may be NULL for packets. Never raises SIGPIPE. */
int packet_send(int fd, Slice bytes, const int *fds, size_t n_fds, size_t *ret_sent) NODISCARD;
