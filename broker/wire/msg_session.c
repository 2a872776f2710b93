#include "wire/msg_session.h"
#include "wire/field.h"

static const Field session_token_request_fields[] = {
        F(SessionTokenRequest, by_path, BOOL, FIELD_PRIVATE, 0, 0),
        F(SessionTokenRequest, profile, TEXT, FIELD_OPTIONAL, LIMIT_NAME, 0),
        F(SessionTokenRequest, session, SECRET, FIELD_OPTIONAL, 128, 0),
};
static SCHEMA(session_token_request, "SessionTokenRequest", SessionTokenRequest);

static const Method interface_session_methods[] = {
        [SESSION_GET_TOKEN] = { "GetToken", &session_token_request, &schema_token_reply, 0, 0, false },
};
INTERFACE(interface_session, "io.mcpcred.Session");
