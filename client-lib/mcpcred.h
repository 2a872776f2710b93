#ifndef MCPCRED_H
#define MCPCRED_H
/*
 * libmcpcred: the client of the mcpcred broker.
 *
 * A launcher opens a session and gives its environment to the child:
 *
 *     mcpcred *client;
 *     mcpcred_open *request;
 *     mcpcred_session *session;
 *
 *     if (mcpcred_new(&client) || mcpcred_open_new(&request))
 *             abort();
 *     mcpcred_open_grant(request, "github-triage");
 *     if (mcpcred_session_open(client, request, &session)) {
 *             fprintf(stderr, "%s\n", mcpcred_error_message(client));
 *             exit(mcpcred_error_exit_status(client));
 *     }
 *     for (i = 0; i < mcpcred_session_environment_count(session); i++)
 *             setenv(mcpcred_session_environment_name(session, i),
 *                    mcpcred_session_environment_value(session, i), 1);
 *     (fork; in the child: mcpcred_child_mark(), then exec)
 *     mcpcred_session_free(session);      ends the session: its lifeline is closed
 *
 * Conventions:
 * - Functions that return int return 0, or an mcpcred_code. What went wrong in words is in the
 *   client handle until the next call that takes the handle. Nothing is written to any stream.
 * - A handle is used by one thread at a time; different handles are independent. There is no global
 *   state.
 * - A text that is returned belongs to the object it was asked of and lives as long, unless said
 *   otherwise. Free functions take NULL.
 * - Secrets are kept in locked memory that is absent in forked children, and are wiped by the free
 *   functions. A forked child must not use handles of its parent.
 * - Every descriptor that the library makes is close-on-exec.
 * - Every call has a deadline, which begins anew with each row of a long answer. A call that only
 *   reads is tried once more if the connection drops.
 * - A session is opened only from outside: a process that carries the mark of mcpcred_child_mark()
 *   is refused by the broker on the control socket.
 */
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MCPCRED_VERSION_MAJOR 0
#define MCPCRED_VERSION_MINOR 1

#if defined(__GNUC__)
#define MCPCRED_API __attribute__((visibility("default")))
#else
#define MCPCRED_API
#endif

typedef struct mcpcred mcpcred;                   /* a client of one broker */
typedef struct mcpcred_open mcpcred_open;         /* a session to be opened */
typedef struct mcpcred_session mcpcred_session;   /* an open session */
typedef struct mcpcred_token mcpcred_token;       /* a token that was handed out */
typedef struct mcpcred_value mcpcred_value;       /* secret bytes to be sent */
typedef struct mcpcred_addition mcpcred_addition; /* a secret to be added */
typedef struct mcpcred_selector mcpcred_selector; /* what is to be revoked */
typedef struct mcpcred_leak mcpcred_leak;         /* values that were found somewhere */
typedef struct mcpcred_row mcpcred_row;           /* a record that the broker sent */

/* Stable; new ones are added. Codes below 1000 come from the broker. */
typedef enum mcpcred_code {
        MCPCRED_OK = 0,
        MCPCRED_E_INTERNAL = 1,           /* a defect or a failed system call of the broker */
        MCPCRED_E_INVALID_PARAMETER = 2,  /* mcpcred_error_field() names it */
        MCPCRED_E_METHOD_NOT_FOUND = 3,   /* the broker is of another version */
        MCPCRED_E_INTERFACE_NOT_FOUND = 4,
        MCPCRED_E_NOT_ALLOWED = 5,        /* this process may not ask this at all */
        MCPCRED_E_POLICY_DENIED = 6,      /* the profile does not give this */
        MCPCRED_E_NOT_FOUND = 7,          /* no such secret, profile, session or lease */
        MCPCRED_E_EXISTS = 8,
        MCPCRED_E_EXPIRED = 9,
        MCPCRED_E_REVOKED = 10,
        MCPCRED_E_BUSY = 11,              /* a limit is reached, or the thing is in use */
        MCPCRED_E_UNAVAILABLE = 12,       /* a part of the broker is restarting */
        MCPCRED_E_TIMEOUT = 13,
        MCPCRED_E_AUDIT_UNAVAILABLE = 14, /* it cannot be audited, so nothing is issued */
        MCPCRED_E_KEYRING_ABSENT = 15,
        MCPCRED_E_KEYRING_LOCKED = 16,
        MCPCRED_E_KEYRING_HUNG = 17,
        MCPCRED_E_KEYRING_FAILED = 18,
        MCPCRED_E_STORE_DAMAGED = 19,
        MCPCRED_E_ROLLBACK = 20,          /* the store or the state is an older copy */
        MCPCRED_E_WRONG_PASSPHRASE = 21,
        MCPCRED_E_UPSTREAM_ROOT_INVALID = 22, /* the upstream refuses the long-lived secret */
        MCPCRED_E_UPSTREAM_DENIED = 23,
        MCPCRED_E_UPSTREAM_NO_TARGET = 24,
        MCPCRED_E_UPSTREAM_BAD_SCOPE = 25,
        MCPCRED_E_UPSTREAM_RATE_LIMITED = 26,
        MCPCRED_E_UPSTREAM_UNREACHABLE = 27,
        MCPCRED_E_UPSTREAM_UNKNOWN = 28,  /* the upstream's reply was lost: it may have happened */
        MCPCRED_E_UPSTREAM_GONE = 29,
        MCPCRED_E_NEEDS_HUMAN = 30,       /* cannot be mended by asking again */
        MCPCRED_E_UNSUPPORTED = 31,
        MCPCRED_E_CONFIG_INVALID = 32,

        MCPCRED_E_UNREACHABLE = 1000,     /* no broker answers at the socket */
        MCPCRED_E_UNTRUSTED = 1001,       /* what answers, or its directory, is of another user */
        MCPCRED_E_PROTOCOL = 1002,        /* the broker's answer does not fit the protocol */
        MCPCRED_E_DEADLINE = 1003,        /* the broker did not answer in time; it may have acted */
        MCPCRED_E_DROPPED = 1004,         /* the broker closed the connection; it may have acted */
        MCPCRED_E_SYSTEM = 1005,          /* a system call of this process failed */
        MCPCRED_E_NO_MEMORY = 1006,       /* no memory, or no lockable memory (RLIMIT_MEMLOCK) */
        MCPCRED_E_MISUSE = 1007,          /* an argument that the library does not take */
        MCPCRED_E_STOPPED = 1008          /* a callback asked to stop */
} mcpcred_code;

/* ---- the client handle ---- */

/*
 * Optional, once a process, in main before anything else uses jansson: what the JSON library frees
 * is wiped from then on, so that a token that was received leaves no copy in freed memory. It is
 * the one function here that changes something process-wide, which is why no other calls it. 0 or
 * -errno.
 */
MCPCRED_API int mcpcred_process_setup(void);
/* A handle; nothing is connected yet. MCPCRED_E_NO_MEMORY. */
MCPCRED_API int mcpcred_new(mcpcred **ret);
/* Closes the connection. Returns NULL. Sessions that were opened with MCPCRED_LIFELINE_CONNECTION
 * end. */
MCPCRED_API mcpcred *mcpcred_free(mcpcred *client);
/*
 * Where the broker's runtime directory is. Without this call: $XDG_RUNTIME_DIR/mcpcred, else
 * /run/user/<effective uid>/mcpcred, else run/ below the state directory ($XDG_STATE_HOME/mcpcred
 * or ~/.local/state/mcpcred); the first one that holds a socket.
 */
MCPCRED_API int mcpcred_set_runtime(mcpcred *client, const char *directory);
/* The system's broker in /run/mcpcred instead of the user's own. */
MCPCRED_API int mcpcred_set_system(mcpcred *client);
/* For each call from now on; 30000 at first. 0 is refused. */
MCPCRED_API int mcpcred_set_deadline(mcpcred *client, unsigned milliseconds);
/*
 * Connects, if it is not connected. Calls do so by themselves. The server must run as this
 * process's effective user or as root, and its directory must belong to one of the two and be
 * writable to no other. MCPCRED_E_UNREACHABLE, MCPCRED_E_UNTRUSTED.
 */
MCPCRED_API int mcpcred_connect(mcpcred *client);
/* Closes the connection; a later call connects again. */
MCPCRED_API void mcpcred_disconnect(mcpcred *client);
/* The connection's descriptor, for watching it; -1 if there is none. The library keeps it. */
MCPCRED_API int mcpcred_fd(const mcpcred *client);
/* The broker's directory by the rules above, whether or not a broker is there. NULL: none was
 * found. */
MCPCRED_API const char *mcpcred_runtime(mcpcred *client);

/* ---- what went wrong in the last call that took this handle ---- */

MCPCRED_API int mcpcred_error_code(const mcpcred *client);
/* Sentences for a person, on one line, never NULL; the remedy may be empty. */
MCPCRED_API const char *mcpcred_error_message(const mcpcred *client);
MCPCRED_API const char *mcpcred_error_remedy(const mcpcred *client);
/* The stable name of the code: "PolicyDenied", "Unreachable". */
MCPCRED_API const char *mcpcred_error_name(const mcpcred *client);
/* The parameter that is not valid, "grants[0].profile"; NULL if none is named. */
MCPCRED_API const char *mcpcred_error_field(const mcpcred *client);
/* When asking again makes sense; 0 if it is not known. */
MCPCRED_API uint64_t mcpcred_error_retry_after_ms(const mcpcred *client);
/* As the mcpcred command exits: 1 failed, 2 usage, 4 keyring, 5 denied, 6 no such thing, 7
 * unreachable. */
MCPCRED_API int mcpcred_error_exit_status(const mcpcred *client);

/* ---- records ---- */

/*
 * A row is one record that the broker sent: a secret, a session, a status. The fields are those of
 * io.mcpcred.Broker.varlink, under the same names. A getter with a name that the row has not, or
 * that is of another kind, returns NULL or 0. A row lives as long as the callback that it is
 * passed to, or as the session that it was asked of. No row holds a secret.
 */
typedef enum mcpcred_kind {
        MCPCRED_KIND_FLAG,
        MCPCRED_KIND_NUMBER,
        MCPCRED_KIND_TIME,   /* microseconds since 1970-01-01T00:00:00Z; 0: absent */
        MCPCRED_KIND_TEXT,   /* also for names of an enumeration */
        MCPCRED_KIND_TEXTS,  /* a list of texts */
        MCPCRED_KIND_MAP,    /* texts by texts */
        MCPCRED_KIND_RECORD,
        MCPCRED_KIND_RECORDS
} mcpcred_kind;

/* Return 0 to go on; anything else stops, and the call returns MCPCRED_E_STOPPED. The callback must
 * not use the client handle. */
typedef int (*mcpcred_row_fn)(const mcpcred_row *row, void *userdata);

MCPCRED_API int mcpcred_row_flag(const mcpcred_row *row, const char *field);
MCPCRED_API uint64_t mcpcred_row_number(const mcpcred_row *row, const char *field);
MCPCRED_API uint64_t mcpcred_row_time(const mcpcred_row *row, const char *field);
/* NULL: absent. */
MCPCRED_API const char *mcpcred_row_text(const mcpcred_row *row, const char *field);
/* Items of a list or map, records of a RECORDS field; 1 or 0 for a RECORD. */
MCPCRED_API size_t mcpcred_row_count(const mcpcred_row *row, const char *field);
/* A text of a list, or the value of a map. */
MCPCRED_API const char *mcpcred_row_item(const mcpcred_row *row, const char *field, size_t index);
MCPCRED_API const char *mcpcred_row_key(const mcpcred_row *row, const char *field, size_t index);
/* Lives as long as `row`. NULL: absent, or no memory. */
MCPCRED_API const mcpcred_row *mcpcred_row_record(const mcpcred_row *row, const char *field,
                                                  size_t index);
/* All fields in the order of the interface, for generic output. Name is NULL behind the last. */
MCPCRED_API const char *mcpcred_row_field_name(const mcpcred_row *row, size_t index);
MCPCRED_API mcpcred_kind mcpcred_row_field_kind(const mcpcred_row *row, size_t index);

/* ---- sessions ---- */

typedef enum mcpcred_lifeline {
        MCPCRED_LIFELINE_SOCKET,     /* the default: the library keeps one end of a socket in the
                                        mcpcred_session; it ends when that is freed or we end */
        MCPCRED_LIFELINE_CONNECTION, /* it ends with the client handle's connection */
        MCPCRED_LIFELINE_DESCRIPTOR, /* it ends with what mcpcred_open_lifeline_fd() was given */
        MCPCRED_LIFELINE_LIFETIME    /* it ends when its lifetime is over, or when it is closed */
} mcpcred_lifeline;

/* MCPCRED_E_NO_MEMORY. */
MCPCRED_API int mcpcred_open_new(mcpcred_open **ret);
MCPCRED_API mcpcred_open *mcpcred_open_free(mcpcred_open *request);
/*
 * The functions below copy what they are given. They return 0, MCPCRED_E_MISUSE for what no broker
 * would take, or MCPCRED_E_NO_MEMORY; mcpcred_session_open() refuses a request that such a call
 * failed on, so that their results need not be checked one by one.
 */
/* One more profile; at least one is needed. */
MCPCRED_API int mcpcred_open_grant(mcpcred_open *request, const char *profile);
/* Narrows the grant that was added last: "owner/name", and "contents" to "read", "write" or
 * "admin". */
MCPCRED_API int mcpcred_open_repository(mcpcred_open *request, const char *repository);
MCPCRED_API int mcpcred_open_permission(mcpcred_open *request, const char *name, const char *level);
/* What a person will see in listings and in the audit log. */
MCPCRED_API int mcpcred_open_label(mcpcred_open *request, const char *label);
/* 0: the shortest of the profiles'. */
MCPCRED_API int mcpcred_open_lifetime(mcpcred_open *request, uint64_t seconds);
MCPCRED_API int mcpcred_open_lifeline(mcpcred_open *request, mcpcred_lifeline lifeline);
/* A pidfd, or a socket whose other end the caller keeps. Duplicated now; sets the lifeline too. */
MCPCRED_API int mcpcred_open_lifeline_fd(mcpcred_open *request, int fd);
/* Asks for a connected socket to the session, for sandboxes in which none can be made. */
MCPCRED_API int mcpcred_open_want_descriptor(mcpcred_open *request);
/* What will run in it, for profiles that demand a certain command. One that is longer than a
 * profile can demand (32 words) is left out, so that such profiles refuse it. */
MCPCRED_API int mcpcred_open_command(mcpcred_open *request, size_t argc, const char *const *argv);
/* Where the child will find the HTTP proxy, "127.0.0.1:3128" or "[::1]:3128": the proxy variables
 * of the environment name it. Without it there are none, and the proxy is at its Unix socket
 * alone. */
MCPCRED_API int mcpcred_open_proxy(mcpcred_open *request, const char *address);
/* Nonzero: the session's sockets are the child's only way out, so it has to trust the session's CA
 * and no other. */
MCPCRED_API int mcpcred_open_sandboxed(mcpcred_open *request, int sandboxed);

/* Opens the session. The request can be used again. */
MCPCRED_API int mcpcred_session_open(mcpcred *client, const mcpcred_open *request,
                                     mcpcred_session **ret);
/* Wipes, and closes the descriptors that are still the session's: an automatic lifeline ends it. */
MCPCRED_API mcpcred_session *mcpcred_session_free(mcpcred_session *session);
MCPCRED_API const char *mcpcred_session_id(const mcpcred_session *session);
/* Microseconds since 1970. */
MCPCRED_API uint64_t mcpcred_session_expires(const mcpcred_session *session);
/* MCPCRED_SOCK and MCPCRED_SESSION are among the variables. Values may be secret. */
MCPCRED_API size_t mcpcred_session_environment_count(const mcpcred_session *session);
MCPCRED_API const char *mcpcred_session_environment_name(const mcpcred_session *session,
                                                         size_t index);
MCPCRED_API const char *mcpcred_session_environment_value(const mcpcred_session *session,
                                                          size_t index);
/* Rows with profile, deliver, expires, path; NULL behind the last. `path` is the file of a profile
 * that is delivered as a file. */
MCPCRED_API const mcpcred_row *mcpcred_session_grant(const mcpcred_session *session, size_t index);
/* The session's own socket, and the directory that holds it and the files. */
MCPCRED_API const char *mcpcred_session_socket(const mcpcred_session *session);
MCPCRED_API const char *mcpcred_session_directory(const mcpcred_session *session);
/* The connected socket that was asked for; -1 if it was not. It stays the session's. */
MCPCRED_API int mcpcred_session_fd(const mcpcred_session *session);
/* The library's end of the automatic lifeline; -1 if there is none. It stays the session's. */
MCPCRED_API int mcpcred_session_lifeline_fd(const mcpcred_session *session);
/* The Unix socket of the session's HTTP proxy. NULL: none of its profiles goes by a proxy. */
MCPCRED_API const char *mcpcred_session_proxy_socket(const mcpcred_session *session);
/* Files with the session's CA: alone, and with the system's behind it; NULL: there is none. A session that was
 * asked for as sandboxed has the former alone. */
MCPCRED_API const char *mcpcred_session_ca(const mcpcred_session *session);
MCPCRED_API const char *mcpcred_session_ca_bundle(const mcpcred_session *session);
/* The hosts that can be reached by the proxy, "host", "host:port" or "*.suffix", for launchers that
 * resolve names themselves. NULL behind the last. */
MCPCRED_API const char *mcpcred_session_host(const mcpcred_session *session, size_t index);

/* What is spoken on a socket that is handed over. */
typedef enum mcpcred_service {
        MCPCRED_SERVICE_PROXY,   /* TCP, listening in another network namespace: an HTTP proxy */
        MCPCRED_SERVICE_TLS,     /* likewise: TLS at once, the host by its server name */
        MCPCRED_SERVICE_DNS,     /* UDP, bound, likewise: names that may be reached are loopback */
        MCPCRED_SERVICE_LOOPBACK /* TCP, listening on 127.0.0.1 or ::1 of the broker's own network:
                                    an HTTP proxy that asks for a handle */
} mcpcred_service;

/*
 * Hands a socket over, for the session to accept from straight out of a sandbox. It works for as
 * long as the session, across restarts of the broker's parts; the caller keeps its own descriptor
 * and closes it. The session is asked by the descriptor of mcpcred_open_want_descriptor(), or else
 * at its socket, by its secret. With session NULL it is the one that the environment names, as for
 * mcpcred_session_token(). The client handle is used for its deadline and for the error alone.
 */
MCPCRED_API int mcpcred_session_serve(mcpcred *client, const mcpcred_session *session,
                                      mcpcred_service service, int fd);

/* The broker's word on a call that ends things. */
typedef struct mcpcred_ended {
        uint64_t sessions; /* ended by this call */
        uint64_t leases;   /* credentials that ended; a very long list is cut, this counts all */
        int pending;       /* the upstream is still to confirm some; the broker goes on trying */
        /* What became of those at their upstreams: nothing is to be done there, revoked, still to be
         * confirmed, and "only rotating the secret ends it". */
        uint64_t n_none, n_confirmed, n_pending, n_rotate;
} mcpcred_ended;

/*
 * Ends a session now. `row` is called with lease, session, profile, secret, outcome ("none",
 * "confirmed", "pending", "impossible_rotate") and reason; it and `ret` may be NULL.
 */
MCPCRED_API int mcpcred_close_session(mcpcred *client, const char *session, mcpcred_row_fn row,
                                      void *userdata, mcpcred_ended *ret);

/* ---- tokens ---- */

/* `profile` may be NULL if the session has one grant. */
MCPCRED_API int mcpcred_token_get(mcpcred *client, const char *session, const char *profile,
                                  mcpcred_token **ret);
/*
 * The same inside a session, as MCPCRED_FD, or MCPCRED_SOCK with MCPCRED_SESSION, of the
 * environment say. The handle is used for its deadline and for the error alone. Processes that
 * share one MCPCRED_FD must not ask at the same time. MCPCRED_E_UNREACHABLE outside a session.
 */
MCPCRED_API int mcpcred_session_token(mcpcred *client, const char *profile, mcpcred_token **ret);
/* Whether the environment says that this is a session. */
MCPCRED_API int mcpcred_in_session(void);
/* Wipes. */
MCPCRED_API mcpcred_token *mcpcred_token_free(mcpcred_token *token);
/* NUL-terminated. */
MCPCRED_API const char *mcpcred_token_value(const mcpcred_token *token);
MCPCRED_API size_t mcpcred_token_size(const mcpcred_token *token);
MCPCRED_API const char *mcpcred_token_profile(const mcpcred_token *token);
/* Microseconds since 1970; 0: it has no end of its own. */
MCPCRED_API uint64_t mcpcred_token_expires(const mcpcred_token *token);

/* ---- secrets ---- */

/* The most that a secret can have. */
#define MCPCRED_VALUE_MAX 65536

/* Empty bytes in locked memory. MCPCRED_E_NO_MEMORY. */
MCPCRED_API int mcpcred_value_new(mcpcred_value **ret);
/* Wipes. */
MCPCRED_API mcpcred_value *mcpcred_value_free(mcpcred_value *value);
/* The caller wipes its own copy. MCPCRED_E_MISUSE beyond MCPCRED_VALUE_MAX. */
MCPCRED_API int mcpcred_value_append(mcpcred_value *value, const void *data, size_t size);
/* Reads a descriptor to its end. MCPCRED_E_SYSTEM with errno set, MCPCRED_E_MISUSE when it is too
 * long. */
MCPCRED_API int mcpcred_value_read_fd(mcpcred_value *value, int fd);
/* Drops one newline at the end. */
MCPCRED_API void mcpcred_value_trim_newline(mcpcred_value *value);
/* The first `size` bytes stay. */
MCPCRED_API void mcpcred_value_truncate(mcpcred_value *value, size_t size);
/* Not NUL-terminated; valid until the value changes. */
MCPCRED_API const void *mcpcred_value_data(const mcpcred_value *value);
MCPCRED_API size_t mcpcred_value_size(const mcpcred_value *value);

/* MCPCRED_E_MISUSE when a name is not one ([a-z0-9][a-z0-9._-]*, at most 64). The functions below
 * are like those of mcpcred_open: they copy, and mcpcred_secret_add() refuses what one of them
 * failed on. */
MCPCRED_API int mcpcred_addition_new(mcpcred_addition **ret, const char *name,
                                     const char *provider);
MCPCRED_API mcpcred_addition *mcpcred_addition_free(mcpcred_addition *addition);
MCPCRED_API int mcpcred_addition_base_url(mcpcred_addition *addition, const char *url);
MCPCRED_API int mcpcred_addition_host(mcpcred_addition *addition, const char *host);
/* The hosts of a preset, a well-known upstream such as "openai". MCPCRED_E_MISUSE: there is none of
 * that name, or it has no hosts of its own. */
MCPCRED_API int mcpcred_addition_preset(mcpcred_addition *addition, const char *preset);
/* NULL behind the last. */
MCPCRED_API const char *mcpcred_preset_name(size_t index);

/* How a new value of a secret comes about. */
typedef enum mcpcred_renewal {
        MCPCRED_RENEWAL_GUIDED,  /* somebody makes it upstream */
        MCPCRED_RENEWAL_CREATE,  /* the broker has it made, and the old one ended afterwards */
        MCPCRED_RENEWAL_REPLACE /* the broker has it made, which ends the old one */
} mcpcred_renewal;

/* What is known of a kind of upstream; texts live as long as the library. Members are added at the end. */
typedef struct mcpcred_provider {
        const char *name;     /* of mcpcred_addition_new() */
        const char *title;    /* for a person */
        const char *base_url; /* where none is given; NULL: nothing is sent anywhere */
        const char *preset;   /* whose hosts such a secret has where none are given; NULL: nobody's */
        int verifies;         /* the upstream can be asked about the secret */
        int mints;            /* short-lived credentials come of it; else it serves as it is */
        int revokes;          /* such a credential can be ended there */
        int ends_secret;      /* the secret itself can be */
        mcpcred_renewal rotation;
} mcpcred_provider;

/* Fills the first `size` bytes of `ret`. MCPCRED_E_MISUSE behind the last. */
MCPCRED_API int mcpcred_provider_get(size_t index, mcpcred_provider *ret, size_t size);

/* The provider's own settings: app_id, installation_id. */
MCPCRED_API int mcpcred_addition_parameter(mcpcred_addition *addition, const char *key,
                                           const char *value);
/* Ask the upstream before it is stored. */
MCPCRED_API int mcpcred_addition_verify(mcpcred_addition *addition, int verify);
MCPCRED_API int mcpcred_addition_replace(mcpcred_addition *addition, int replace);

/*
 * Stores a secret. The value goes to the broker through a socket of its own and is in no message.
 * The row has identity (what the upstream says the secret is) and generation.
 */
MCPCRED_API int mcpcred_secret_add(mcpcred *client, const mcpcred_addition *addition,
                                   const mcpcred_value *value, mcpcred_row_fn row, void *userdata);
/* Ends what lives of it, then deletes it; with dry_run only says what would end. `ret` may be
 * NULL. */
MCPCRED_API int mcpcred_secret_remove(mcpcred *client, const char *name, int dry_run,
                                      mcpcred_ended *ret);

typedef enum mcpcred_rotation {
        MCPCRED_ROTATION_PLAN, /* say what will happen, or what to do upstream; no value */
        MCPCRED_ROTATION_RUN,  /* verify the new value, switch to it, end the old one. Without a value
                                  the provider makes it, where it can: the plan says so */
        MCPCRED_ROTATION_ABORT /* drop a rotation under way; no value */
} mcpcred_rotation;

/* Of MCPCRED_ROTATION_RUN. All zero: as the secret's section of the configuration says. */
typedef struct mcpcred_rotation_options {
        uint64_t grace;  /* seconds that the old value lives on behind the switch */
        int now;         /* it dies at once, and sessions that were handed it itself end */
        int allow_wider; /* a value that a person made may do more than the old one */
} mcpcred_rotation_options;

/* Rows with step, message, generation, pending and made_by_provider, as the steps are done. Of the last one, pending
 * says that the broker goes on by itself. `options` may be NULL. */
MCPCRED_API int mcpcred_secret_rotate(mcpcred *client, const char *name, mcpcred_rotation rotation,
                                      const mcpcred_rotation_options *options, const mcpcred_value *value,
                                      mcpcred_row_fn row, void *userdata);

/* ---- revocation ---- */

typedef enum mcpcred_select {
        MCPCRED_SELECT_SESSION,
        MCPCRED_SELECT_PROFILE,
        MCPCRED_SELECT_SECRET,
        MCPCRED_SELECT_TOKEN_HASH, /* SHA-256 of a token in hex */
        MCPCRED_SELECT_ALL,        /* its text is NULL */
        MCPCRED_SELECT_PROVIDER,
        MCPCRED_SELECT_PRINCIPAL, /* who opened the session: the decimal number of a user */
        MCPCRED_SELECT_SINCE      /* given at or after it: RFC 3339, or how long ago ("2h") */
} mcpcred_select;

MCPCRED_API int mcpcred_selector_new(mcpcred_selector **ret);
MCPCRED_API mcpcred_selector *mcpcred_selector_free(mcpcred_selector *selector);
/* Several narrow each other down. MCPCRED_E_MISUSE: the text is none of that kind. */
MCPCRED_API int mcpcred_selector_set(mcpcred_selector *selector, mcpcred_select what,
                                     const char *text);
/* Selects by a token's value, of which only the hash is sent. */
MCPCRED_API int mcpcred_selector_token(mcpcred_selector *selector, const mcpcred_value *token);
/*
 * Revokes. When it returns 0, nothing further leaves with what was selected. Rows are those of
 * mcpcred_close_session(). Asking again for what is revoked already succeeds; a name that is neither
 * there nor on record is MCPCRED_E_NOT_FOUND. A session that holds something of it ends whole.
 */
MCPCRED_API int mcpcred_revoke(mcpcred *client, const mcpcred_selector *selector, int dry_run,
                               mcpcred_row_fn row, void *userdata, mcpcred_ended *ret);

/* ---- leaks ---- */

/* Candidates of one report: more is a report that should come in parts. */
#define MCPCRED_LEAK_MAX 2097152

/* MCPCRED_E_NO_MEMORY. */
MCPCRED_API int mcpcred_leak_new(mcpcred_leak **ret);
/* Wipes. */
MCPCRED_API mcpcred_leak *mcpcred_leak_free(mcpcred_leak *leak);
/* Where they were found, at most 128 bytes of UTF-8: for the broker's log and for people. */
MCPCRED_API int mcpcred_leak_source(mcpcred_leak *leak, const char *source);
/*
 * A value that may be one of the broker's. Only its SHA-256 is kept; the caller wipes its own copy.
 * `ret_index` (may be NULL) gets its number, which for one that was there before is the number of that.
 * MCPCRED_E_MISUSE when it is empty, MCPCRED_E_NO_MEMORY also beyond MCPCRED_LEAK_MAX.
 */
MCPCRED_API int mcpcred_leak_candidate(mcpcred_leak *leak, const void *data, size_t size,
                                       size_t *ret_index);

/* The same for one whose SHA-256, 32 bytes, is known. */
MCPCRED_API int mcpcred_leak_candidate_hash(mcpcred_leak *leak, const unsigned char *hash, size_t *ret_index);

typedef struct mcpcred_leaked {
        uint64_t candidates; /* that were asked about */
        uint64_t matched;    /* of these */
        int pending;         /* something that is done about them goes on */
} mcpcred_leaked;

/*
 * Asks which of the candidates the broker has issued or stores, and has it do what the configuration
 * says about each; with dry_run only says. `row` is called with index (the candidate's number), kind
 * ("secret", "credential", "handle", "canary"), secret, profile, session, lease, state, issued,
 * incident and actions; it and `ret` may be NULL. What was done stays done when a later part of the
 * report fails; reporting again goes on with it.
 */
MCPCRED_API int mcpcred_leak_report(mcpcred *client, const mcpcred_leak *leak, int dry_run,
                                    mcpcred_row_fn row, void *userdata, mcpcred_leaked *ret);

/* A person has dealt with what is left of an incident (MCPCRED_LIST_INCIDENTS). */
MCPCRED_API int mcpcred_leak_close(mcpcred *client, const char *incident);

typedef enum mcpcred_webhook_scheme {
        MCPCRED_WEBHOOK_GITHUB,     /* X-Hub-Signature-256 */
        MCPCRED_WEBHOOK_GITGUARDIAN /* Gitguardian-Signature, with the header Timestamp */
} mcpcred_webhook_scheme;

typedef struct mcpcred_webhook {
        const char *secret; /* name of the stored key, of the provider webhook */
        mcpcred_webhook_scheme scheme;
        const char *signature; /* the header's value, "sha256=..." */
        const char *timestamp; /* of MCPCRED_WEBHOOK_GITGUARDIAN: the header's value; otherwise NULL */
        const void *body;      /* as it came, byte for byte */
        size_t size;
} mcpcred_webhook;

/* Has the broker check a webhook's signature; the key does not leave it. 0 when it was checked, and
 * `ret_valid` says how it ended. How old the timestamp is is left to the caller. */
MCPCRED_API int mcpcred_webhook_verify(mcpcred *client, const mcpcred_webhook *webhook,
                                       int *ret_valid);

/*
 * How everything that is stored or issued can be found in files without knowing it. Rows, one after the other, each
 * with key; patterns (records: secret state anchor offset length hash), prefixes, and skipped (records: secret
 * reason), any of which may be empty. io.mcpcred.Broker.ScanPatterns says how they are used.
 */
MCPCRED_API int mcpcred_scan_patterns(mcpcred *client, mcpcred_row_fn row, void *userdata);

/* ---- what there is ---- */

typedef enum mcpcred_list {
        MCPCRED_LIST_SECRETS,  /* name provider base_url hosts parameters generation added rotated
                                  rotation problem due expires leases */
        MCPCRED_LIST_SESSIONS, /* session label uid profiles state opened expires ended end_reason
                                  lifeline */
        MCPCRED_LIST_LEASES,   /* lease kind session profile secret generation state outcome created
                                  expires attempts reason */
        MCPCRED_LIST_PROFILES, /* name secret provider deliver ttl env scope expose_secret command
                                  caller_unit on_leak canary source problem */
        MCPCRED_LIST_CHECKS,   /* the broker's own examination: id status summary remedy */
        MCPCRED_LIST_INCIDENTS /* incident time signal evidence secret profile session lease generation
                                  count state closed actions */
} mcpcred_list;

/* One call of `row` for each. `all`: what is over too. */
MCPCRED_API int mcpcred_list_rows(mcpcred *client, mcpcred_list what, int all, mcpcred_row_fn row,
                                  void *userdata);
/* MCPCRED_LIST_LEASES of what the selector takes; by a token's value nothing can be listed. */
MCPCRED_API int mcpcred_list_leases(mcpcred *client, const mcpcred_selector *selector, int all,
                                    mcpcred_row_fn row, void *userdata);
/* One row: version started store store_state secrets profiles sessions leases pending
 * incidents audit_sequence audit_head audit_path audit_state roles. */
MCPCRED_API int mcpcred_status(mcpcred *client, mcpcred_row_fn row, void *userdata);
/* Rows with text: whole lines of Prometheus' text format, one part behind the other. */
MCPCRED_API int mcpcred_metrics(mcpcred *client, mcpcred_row_fn row, void *userdata);

/*
 * Follows the audit log: each line as it is written, from line `since` on if that is not 0, first what there is and
 * then what comes. Rows with lost (lines in front of these that are not there any more) and events (records: sequence
 * time request principal session profile secret lease operation verdict reason token detail); the first comes at once.
 * Ends when `row` wants it to (MCPCRED_E_STOPPED), or with an error, after which it can be called again with the line
 * behind the last one seen. `reader_fd` is where `row` writes, if that is a pipe or socket whose reader can go away
 * while nothing happens: that ends it too (MCPCRED_E_STOPPED); -1: nothing of that kind.
 */
MCPCRED_API int mcpcred_watch(mcpcred *client, uint64_t since, int reader_fd, mcpcred_row_fn row, void *userdata);

/* ---- the broker itself ---- */

/* Reads the configuration again; a bad one leaves the old in force. `ret_profiles` may be NULL. */
MCPCRED_API int mcpcred_reload(mcpcred *client, uint64_t *ret_profiles);
/* One row: store, store_state. */
MCPCRED_API int mcpcred_lock(mcpcred *client, mcpcred_row_fn row, void *userdata);
/* `create` makes a new sealed file with this passphrase. */
MCPCRED_API int mcpcred_unlock(mcpcred *client, const mcpcred_value *passphrase, int create,
                               mcpcred_row_fn row, void *userdata);

/* ---- the audit log ---- */

/* Where the log is and what is known of it; Status has it all. */
typedef struct mcpcred_audit_log {
        const char *path; /* audit_path: the file that is written to. Former files are PATH.N, N their first line */
        uint64_t base;    /* audit_base: the last line that was given up with an old file */
        const char *base_head; /* audit_base_head; NULL: what the oldest file follows is not known */
        uint64_t sequence;     /* audit_sequence */
        const char *head;      /* audit_head; NULL: whether lines are missing at the end is not known */
} mcpcred_audit_log;

typedef struct mcpcred_audit {
        uint64_t files;    /* that were read */
        uint64_t lines;    /* that are good, of all files */
        uint64_t bad_line; /* number of the first bad one in its file, from 1; 0: none */
        uint64_t first;    /* sequence of the first line; 0: there is none */
        uint64_t sequence; /* of the last good line; 0: there is none */
        char head[65];     /* the chain's hash after it, in hex */
        char file[4608];   /* that the bad line is in */
        char reason[160];  /* what is wrong with the bad line */
} mcpcred_audit;

/* Called for each good line, with the chain's hash after it. */
typedef void (*mcpcred_audit_seen)(void *userdata, uint64_t sequence, const char *head);

/*
 * Reads a log to its end, over all of its files, and checks its chain: a line that was edited, cut, left out, added,
 * repeated or moved is named, and so is a file that is missing. Needs no broker. `seen` may be NULL. 0 when the log was
 * read, whatever it is like; MCPCRED_E_SYSTEM.
 */
MCPCRED_API int mcpcred_audit_verify(mcpcred *client, const mcpcred_audit_log *log, mcpcred_audit_seen seen,
                                     void *userdata, mcpcred_audit *ret);

/* One line of the log: as it stands in the file, and its members as mcpcred_watch() has them. Not 0: no more. */
typedef int (*mcpcred_audit_line)(const char *text, const mcpcred_row *row, void *userdata);
/*
 * Reads the log from line `since` on, over its files and however they are rotated meanwhile, without a broker and
 * without looking at the chain. What is no line is passed over. MCPCRED_E_STOPPED, MCPCRED_E_SYSTEM. `ret_last`: the
 * last line that was read, or `since` - 1; may be NULL.
 */
MCPCRED_API int mcpcred_audit_read(mcpcred *client, const char *path, uint64_t since, mcpcred_audit_line line,
                                   void *userdata, uint64_t *ret_last);
/* How the log writes this value in "token": for who looks for its traces. Only the value's SHA-256 is sent. */
MCPCRED_API int mcpcred_audit_hash(mcpcred *client, const mcpcred_value *value, char ret[64]);

/* ---- the mark of a session's processes ---- */

/*
 * Marks the calling process and all its descendants for ever as part of a session: the broker's
 * control socket refuses them. Call it between fork and exec; it only makes system calls. The mark
 * is a hard RLIMIT_RTTIME that is finite, and so large that it limits nothing. A limit that is
 * finite already is a mark as it is. 0 or -errno.
 */
MCPCRED_API int mcpcred_child_mark(void);
/* Whether the calling process carries the mark. */
MCPCRED_API int mcpcred_is_marked(void);

#ifdef __cplusplus
}
#endif
#endif
