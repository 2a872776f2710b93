#pragma once
/* What a role may be made to try by whoever has taken it over, and what it must be able to do. */
#include "probe.h"

/* A single system call with harmless or null arguments, which only the filter can answer by
 * killing. */
typedef struct BareCall {
        const char *name;
        long number;
        long arguments[4];
} BareCall;

/* Forbidden to every role. Ends with a NULL name. */
const BareCall *bare_calls(void);

int try_open_passwd(const Target *target);
int try_open_other(const Target *target);
int try_open_proc_environ(const Target *target);
int try_open_state_directory(const Target *target);
int try_create_in_state(const Target *target);
int try_write_state_link_outside(const Target *target);
int try_list_root(const Target *target);
int try_fork(const Target *target);
int try_exec(const Target *target);
int try_thread(const Target *target);
int try_clone3(const Target *target);
int try_user_namespace(const Target *target);
int try_socket_unix(const Target *target);
int try_socket_unix_datagram(const Target *target);
int try_socket_inet(const Target *target);
int try_socket_inet6_datagram(const Target *target);
int try_socket_raw(const Target *target);
int try_socket_netlink(const Target *target);
int try_socket_packet(const Target *target);
int try_socket_vsock(const Target *target);
int try_socketpair(const Target *target);
int try_lane(const Target *target);
int try_connect_bus(const Target *target);
int try_connect_bus_inherited(const Target *target);
int try_connect_abstract_inherited(const Target *target);
int try_sendto_address(const Target *target);
int try_connect_tcp(const Target *target);
int try_connect_tcp_inherited(const Target *target);
int try_bind_tcp_inherited(const Target *target);
int try_map_writable_code(const Target *target);
int try_map_anonymous_code(const Target *target);
int try_map_library(const Target *target);
int try_map_state_file(const Target *target);
int try_make_code(const Target *target);
int try_dumpable(const Target *target);
int try_set_name(const Target *target);
int try_terminal_input(const Target *target);
int try_terminal_query(const Target *target);
int try_socket_filter(const Target *target);
int try_raise_limit(const Target *target);
int try_kill_parent(const Target *target);
int try_kill_parent_by_thread(const Target *target);
int try_abort(const Target *target);
int try_x32(const Target *target);
int try_write_file(const Target *target);
int try_fstat(const Target *target);
int try_accept(const Target *target);
int try_pass_descriptor(const Target *target);
int try_log(const Target *target);
int try_arena(const Target *target);
int try_sqlite(const Target *target);
int try_replace_file(const Target *target);
int try_resolve(const Target *target);
int try_second_confinement(const Target *target);
