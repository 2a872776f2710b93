#include "wire/interface.h"

static const Field schema_fault_fields[] = {
        { "fault", FIELD_U64, 0, 0, 0, offsetof(FaultBody, fault), NULL, NULL },
        { "message", FIELD_TEXT, 0, FAULT_MESSAGE_MAX, 0, offsetof(FaultBody, message), NULL, NULL },
        { "remedy", FIELD_TEXT, FIELD_OPTIONAL, FAULT_MESSAGE_MAX, 0, offsetof(FaultBody, remedy), NULL, NULL },
        { "field", FIELD_TEXT, FIELD_OPTIONAL, FAULT_MESSAGE_MAX, 0, offsetof(FaultBody, field), NULL, NULL },
        { "retry_after_usec", FIELD_U64, 0, 0, 0, offsetof(FaultBody, retry_after_usec), NULL, NULL },
};
SCHEMA(schema_fault, "Fault", FaultBody);
