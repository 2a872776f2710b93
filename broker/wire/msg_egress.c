#include "wire/msg_egress.h"
#include "wire/field.h"

const char *const report_kind_names[] = { "denied", "refused", "misuse", "scrubbed", "leaked", "unauthorized", "guessed", NULL };
const char *const body_kind_names[] = { "none", "length", "stream", NULL };

static const Field egress_grant_request_fields[] = {
        F(EgressGrantRequest, session, TEXT, 0, LIMIT_ID, 0),
        F(EgressGrantRequest, hosts, TEXTS, 0, LIMIT_HOSTS, 260),
        F_RECORD(EgressGrantRequest, policy, 0, schema_egress_policy),
        F(EgressGrantRequest, credential, SECRET, 0, SECRET_MAX, 0),
        F(EgressGrantRequest, expires, TIME, FIELD_OPTIONAL, 0, 0),
};
static SCHEMA(egress_grant_request, "EgressGrantRequest", EgressGrantRequest);

static const Field egress_cut_request_fields[] = {
        F(EgressCutRequest, sessions, TEXTS, 0, LIMIT_CUT, LIMIT_ID),
};
static SCHEMA(egress_cut_request, "EgressCutRequest", EgressCutRequest);

static const Field schema_egress_report_fields[] = {
        F(EgressReport, session, TEXT, 0, LIMIT_ID, 0),
        F_ENUM(EgressReport, kind, 0, report_kind_names),
        F(EgressReport, method, TEXT, FIELD_OPTIONAL, 32, 0),
        F(EgressReport, host, TEXT, FIELD_OPTIONAL, 260, 0),
        F(EgressReport, path, TEXT, FIELD_OPTIONAL, LIMIT_TEXT, 0),
        F(EgressReport, reason, TEXT, 0, LIMIT_TEXT, 0),
        F(EgressReport, count, U64, 0, 0, 0),
};
SCHEMA(schema_egress_report, "EgressReport", EgressReport);

static const Field header_field_fields[] = {
        F(HeaderField, name, TEXT, 0, LIMIT_HEADER_NAME, 0),
        F(HeaderField, value, TEXT, 0, LIMIT_HEADER_VALUE, 0),
};
static SCHEMA(header_field, "HeaderField", HeaderField);

static const Field schema_egress_request_fields[] = {
        F(EgressRequest, method, TEXT, 0, 32, 0),
        F(EgressRequest, host, TEXT, 0, 253, 0),
        F(EgressRequest, port, U64, 0, 0, 0),
        F(EgressRequest, path, TEXT, 0, LIMIT_TARGET, 0),
        F(EgressRequest, query, TEXT, FIELD_OPTIONAL, LIMIT_TARGET, 0),
        F_RECORDS(EgressRequest, headers, FIELD_OPTIONAL, LIMIT_HEADERS, header_field),
        F_ENUM(EgressRequest, body, 0, body_kind_names),
        F(EgressRequest, length, U64, FIELD_OPTIONAL, 0, 0),
        F(EgressRequest, expect, BOOL, FIELD_OPTIONAL, 0, 0),
        F(EgressRequest, upgrade, BOOL, FIELD_OPTIONAL, 0, 0),
};
SCHEMA(schema_egress_request, "EgressRequest", EgressRequest);

static const Field schema_egress_response_fields[] = {
        F(EgressResponse, status, U64, 0, 0, 0),
        F_RECORDS(EgressResponse, headers, FIELD_OPTIONAL, LIMIT_HEADERS, header_field),
        F_ENUM(EgressResponse, body, 0, body_kind_names),
        F(EgressResponse, length, U64, FIELD_OPTIONAL, 0, 0),
        F(EgressResponse, upgraded, BOOL, FIELD_OPTIONAL, 0, 0),
};
SCHEMA(schema_egress_response, "EgressResponse", EgressResponse);

static const Field schema_egress_failure_fields[] = {
        F(EgressFailure, status, U64, 0, 0, 0),
        F(EgressFailure, reason, TEXT, 0, LIMIT_NAME, 0),
        F(EgressFailure, message, TEXT, 0, LIMIT_TEXT, 0),
        F(EgressFailure, retry_after, U64, FIELD_OPTIONAL, 0, 0),
};
SCHEMA(schema_egress_failure, "EgressFailure", EgressFailure);

static const Method interface_egress_methods[] = {
        [EGRESS_GRANT] = { "Grant", &egress_grant_request, &schema_empty, 0, 0, false },
        [EGRESS_CUT] = { "Cut", &egress_cut_request, &schema_empty, 0, 0, false },
};
INTERFACE(interface_egress, "egress");

static const Method interface_from_egress_methods[] = {
        [FROM_EGRESS_REPORT] = { "Report", &schema_egress_report, NULL, 0, 0, false },
};
INTERFACE(interface_from_egress, "vault");

static const Method interface_lane_methods[] = {
        [LANE_OPEN] = { "OpenLane", &schema_empty, &schema_empty, 1, 0, false },
};
INTERFACE(interface_lane, "egress");
