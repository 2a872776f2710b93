#include "session/tls.h"

#define RECORD_HEAD      5U
#define RECORD_HANDSHAKE 22U
#define CLIENT_HELLO     1U

TlsHello tls_hello(Slice bytes)
{
        size_t length;

        if ((bytes.size > 0 && bytes.data[0] != RECORD_HANDSHAKE) || (bytes.size > 1 && bytes.data[1] != 3) ||
            (bytes.size > 2 && bytes.data[2] > 4) || (bytes.size > RECORD_HEAD && bytes.data[RECORD_HEAD] != CLIENT_HELLO))
                return TLS_HELLO_NO;
        if (bytes.size < TLS_HELLO_MIN)
                return TLS_HELLO_MORE;
        length = (size_t)(bytes.data[3] << 8 | bytes.data[4]);
        if (length == 0 || length > TLS_RECORD_MAX)
                return TLS_HELLO_NO;
        return bytes.size >= RECORD_HEAD + length ? TLS_HELLO_YES : TLS_HELLO_MORE;
}
