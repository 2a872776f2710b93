#include "wire/scope.h"
#include "wire/field.h"

static const Field schema_scope_fields[] = {
        F(Scope, repositories, TEXTS, FIELD_OPTIONAL, LIMIT_REPOSITORIES, 200),
        F(Scope, permissions, MAP, FIELD_OPTIONAL, LIMIT_PERMISSIONS, LIMIT_NAME),
};
SCHEMA(schema_scope, "Scope", Scope);
