#pragma once
/* What a grant is narrowed to. Empty lists mean "as the profile has it". */
#include "wire/schema.h"

typedef struct Scope {
        TextList repositories; /* "owner/name" */
        TextMap permissions;   /* name to "read", "write" or "admin" */
} Scope;

extern const Schema schema_scope;
