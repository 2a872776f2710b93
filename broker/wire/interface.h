#pragma once
/*
 * The calls that one end of an edge may make: the permit table of that kind of edge. What is not in
 * the table cannot be asked. Calls are numbered by their place in it.
 */
#include "wire/schema.h"

typedef struct Method {
        const char *name;
        const Schema *request;
        const Schema *reply;  /* NULL: a notice, which is never answered */
        uint8_t request_fds;  /* descriptors that may come with the request, at most */
        uint8_t reply_fds;    /* descriptors that may come with a reply, at most */
        bool streams;         /* may be answered by several replies, all but the last marked "more" */
} Method;

typedef struct Interface {
        const char *name;
        const Method *methods;
        size_t n_methods;
} Interface;

#define INTERFACE(variable, label) \
        const Interface variable = { label, variable##_methods, ARRAY_SIZE(variable##_methods) }

/* A role's refusal, as it travels. */
typedef struct FaultBody {
        uint64_t fault; /* Fault */
        const char *message;
        const char *remedy;
        const char *field;         /* of INVALID_PARAMETER */
        uint64_t retry_after_usec; /* 0: not known */
} FaultBody;
extern const Schema schema_fault;

#define FAULT_MESSAGE_MAX 512U
