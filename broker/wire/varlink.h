#pragma once
/*
 * Varlink messages: one JSON object, ended by a NUL byte. A call names a method and carries its
 * parameters; each reply carries parameters, or an error with its own. Pure: bytes in, struct out.
 * The functions here take messages without the NUL and append them with it.
 */
#include "wire/interface.h"
#include "wire/json.h"

typedef struct VarlinkCall {
        struct json_t *tree;  /* what the others point into */
        const char *method;   /* the whole name, "io.mcpcred.Broker.Status" */
        bool more;            /* several replies may be sent */
        bool oneway;          /* no reply is wanted */
} VarlinkCall;

typedef struct VarlinkReply {
        struct json_t *tree;
        bool continues;       /* others follow */
        const char *error;    /* the whole name, NULL on success */
        Fault fault;          /* what that name means here; FAULT_NONE on success */
        FaultBody details;    /* of an error: what it said of itself; members may be NULL */
} VarlinkReply;

/* Cleared by varlink_call_clear(). SCHEMA_E_INVALID with the reason in `error`, or -errno. */
int varlink_call_parse(VarlinkCall *ret, Slice message, SchemaError *error) NODISCARD NONNULL(1, 3);
void varlink_call_clear(VarlinkCall *call) NONNULL(1);
/* The parameters, as json_read_tree() does it: strictly. */
int varlink_call_read(const VarlinkCall *call, const Schema *schema, Arena *arena, Pool *pool,
                      void *body, SchemaError *error) NODISCARD NONNULL(1, 2, 4, 5, 6);
/*
 * Splits "io.mcpcred.Broker.Status" at its last dot: true when the part before it is `interface`;
 * `ret_method` gets the part behind it.
 */
bool varlink_method_of(const char *name, const char *interface, const char **ret_method) NONNULL(1, 2, 3);
/* Appends a call. What json_write() returns. */
int varlink_call_write(Buf *out, const char *interface, const Method *method, const void *body, bool more,
                       bool oneway) NODISCARD NONNULL(1, 2, 3, 4);

/* Cleared by varlink_reply_clear(). Unknown members of a reply are ignored. */
int varlink_reply_parse(VarlinkReply *ret, Slice message, SchemaError *error) NODISCARD NONNULL(1, 3);
void varlink_reply_clear(VarlinkReply *reply) NONNULL(1);
/* The parameters of a success; unknown fields are ignored. */
int varlink_reply_read(const VarlinkReply *reply, const Schema *schema, Arena *arena, Pool *pool,
                       void *body, SchemaError *error) NODISCARD NONNULL(1, 2, 4, 5, 6);
int varlink_reply_write(Buf *out, const Schema *schema, const void *body, bool continues) NODISCARD
        NONNULL(1, 2, 3);

/* The lists of several replies, for a caller that wants them in one. */
#define VARLINK_JOIN_MAX 2U
typedef struct VarlinkJoin {
        Buf lists[VARLINK_JOIN_MAX]; /* of each FIELD_RECORDS of the schema */
} VarlinkJoin;

/* Keeps the lists of a reply that is not the last; its other fields are those of the last. */
int varlink_join_add(VarlinkJoin *join, const Schema *schema, const void *body) NODISCARD NONNULL(1, 2, 3);
/* Appends the last reply with all lists before its own. */
int varlink_join_write(const VarlinkJoin *join, Buf *out, const Schema *schema, const void *body) NODISCARD
        NONNULL(1, 2, 3, 4);
void varlink_join_deinit(VarlinkJoin *join) NONNULL(1);

/*
 * Appends the error "INTERFACE.Name" with message, remedy and, where they are known, field and
 * retry_after (seconds). The three that org.varlink.service defines are written as that, with their
 * own parameter (`field`: the field, method or interface) beside ours.
 */
int varlink_error_write(Buf *out, const char *interface, const FaultBody *fault) NODISCARD
        NONNULL(1, 2, 3);

static inline void varlink_call_clearp(VarlinkCall *call)
{
        varlink_call_clear(call);
}

static inline void varlink_reply_clearp(VarlinkReply *reply)
{
        varlink_reply_clear(reply);
}

/* ---- org.varlink.service, which every varlink socket answers ---- */

#define VARLINK_DESCRIPTION_MAX (64U * 1024U)

typedef struct VarlinkInfo {
        const char *vendor, *product, *version, *url;
        TextList interfaces;
} VarlinkInfo;

typedef struct VarlinkDescriptionRequest {
        const char *interface;
} VarlinkDescriptionRequest;

typedef struct VarlinkDescription {
        const char *description;
} VarlinkDescription;

typedef enum VarlinkServiceMethod {
        VARLINK_GET_INFO,
        VARLINK_GET_INTERFACE_DESCRIPTION,
} VarlinkServiceMethod;

extern const Interface interface_varlink_service;

/* The texts of the *.varlink files, as GetInterfaceDescription serves them. */
extern const char varlink_text_broker[], varlink_text_session[], varlink_text_service[];
