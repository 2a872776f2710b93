#pragma once
/* What a role needs that speaks with upstreams through libcurl: one list for all of them. */
#include "harden/calls.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* Sockets as libcurl sets them up, and its resolver, which is a thread. */
#define CLIENT_CALLS \
        ALLOW(socketpair), \
        ALLOW(pipe2), \
        ALLOW(eventfd2), \
        ALLOW(sendmmsg), \
        ALLOW(uname), \
        ALLOW_OPTION(IPPROTO_TCP, TCP_NODELAY), \
        ALLOW_OPTION(IPPROTO_TCP, TCP_KEEPIDLE), \
        ALLOW_OPTION(IPPROTO_TCP, TCP_KEEPINTVL), \
        ALLOW_OPTION(IPPROTO_TCP, TCP_KEEPCNT), \
        ALLOW_OPTION(IPPROTO_TCP, TCP_FASTOPEN_CONNECT), \
        ALLOW_OPTION(SOL_SOCKET, SO_KEEPALIVE), \
        ALLOW_OPTION(IPPROTO_IP, IP_RECVERR), \
        ALLOW_OPTION(IPPROTO_IP, IP_MTU_DISCOVER), \
        ALLOW_OPTION(IPPROTO_IPV6, IPV6_RECVERR), \
        ALLOW_OPTION(IPPROTO_IPV6, IPV6_V6ONLY), \
        ALLOW_OPTION(IPPROTO_IPV6, IPV6_MTU_DISCOVER)

/*
 * What the resolver and the TLS library read, and the modules that they may load. Single files of /etc, since
 * the rest of it is nobody's business here. /etc/resolv.conf is allowed wherever it points.
 */
#define CLIENT_PATHS \
        { .path = "/etc/resolv.conf", .optional = true }, \
        { .path = "/etc/hosts", .optional = true }, \
        { .path = "/etc/nsswitch.conf", .optional = true }, \
        { .path = "/etc/gai.conf", .optional = true }, \
        { .path = "/etc/host.conf", .optional = true }, \
        { .path = "/etc/services", .optional = true }, \
        { .path = "/etc/protocols", .optional = true }, \
        { .path = "/etc/ld.so.cache", .optional = true }, \
        { .path = "/etc/ssl/openssl.cnf", .optional = true }, \
        { .path = "/etc/crypto-policies", .optional = true }, \
        { .path = "/usr/share/crypto-policies", .optional = true }, \
        { .path = "/usr/lib", .optional = true }, \
        { .path = "/usr/lib64", .optional = true }, \
        { .path = "/lib", .optional = true }, \
        { .path = "/lib64", .optional = true }
