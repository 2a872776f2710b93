#pragma once
/* io.mcpcred.Session: what a sandbox may ask its session process, and that the vault. */
#include "wire/msg_broker.h"

/* Which session it is comes from the edge. */
typedef struct SessionTokenRequest {
        bool by_path;        /* private: came in on the path socket, so the secret is asked for */
        const char *profile; /* may be absent if the session has one grant */
        Secret *session;     /* MCPCRED_SESSION; asked for on the path socket */
} SessionTokenRequest;

typedef enum SessionMethod {
        SESSION_GET_TOKEN,
} SessionMethod;

extern const Interface interface_session;
