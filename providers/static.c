#include "providers/provider.h"

/*
 * A key that its upstream has no API for: it cannot be asked about, nothing narrower can be made of
 * it, and only its owner can revoke it. It serves through the broker's proxy.
 */
static int verify(UNUSED Operation *operation, ProviderVerifyReply *reply)
{
        reply->checked = false;
        return 0;
}

const Provider provider_static = {
        .name = "static",
        .verify = verify,
};
