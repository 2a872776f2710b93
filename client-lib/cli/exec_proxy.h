#pragma once
/* The loopback port of an exec without a sandbox, for clients that know no Unix sockets. */
#include "cli.h"

/* A descriptor that listens at a free port of 127.0.0.1, with its address in words; -1: there is
 * none, and the proxy is at its Unix socket alone. Close-on-exec. */
int exec_proxy_listen(char address[32]);
