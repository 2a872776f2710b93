#include "wire/egress_policy.h"
#include "wire/field.h"

const char *const slot_kind_names[] = { "none", "bearer", "basic", "authorization", "header", "key",
                                        "query", "path", "form", "sigv4", NULL };
const char *const scrub_mode_names[] = { "mask", "strict", "off", NULL };

static const Field schema_egress_policy_fields[] = {
        F_ENUM(EgressPolicy, slot, 0, slot_kind_names),
        F(EgressPolicy, slot_name, TEXT, FIELD_OPTIONAL, LIMIT_NAME, 0),
        F(EgressPolicy, slot_prefix, TEXT, FIELD_OPTIONAL, LIMIT_NAME, 0),
        F(EgressPolicy, allow, TEXTS, FIELD_OPTIONAL, LIMIT_RULES, LIMIT_RULE),
        F(EgressPolicy, deny, TEXTS, FIELD_OPTIONAL, LIMIT_RULES, LIMIT_RULE),
        F(EgressPolicy, addresses, TEXTS, FIELD_OPTIONAL, LIMIT_ADDRESSES, 64),
        F(EgressPolicy, rate, U64, FIELD_OPTIONAL, 0, 0),
        F(EgressPolicy, rate_seconds, U64, FIELD_OPTIONAL, 0, 0),
        F(EgressPolicy, max_uses, U64, FIELD_OPTIONAL, 0, 0),
        F(EgressPolicy, max_body, U64, FIELD_OPTIONAL, 0, 0),
        F(EgressPolicy, concurrent, U64, FIELD_OPTIONAL, 0, 0),
        F_ENUM(EgressPolicy, scrub, 0, scrub_mode_names),
        F(EgressPolicy, websocket, BOOL, FIELD_OPTIONAL, 0, 0),
        F(EgressPolicy, cookies, BOOL, FIELD_OPTIONAL, 0, 0),
};
SCHEMA(schema_egress_policy, "EgressPolicy", EgressPolicy);
