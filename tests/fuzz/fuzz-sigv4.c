/* A request that is signed with a handle (request.h). What comes out is one line, with the real key's id and
 * the scope that the client named; what is signed twice is signed the same. */
#include "egress/sigv4.h"
#include "request.h"
#include "target.h"
#include <stdlib.h>

#define NOW UINT64_C(1440938160000000) /* 2015-08-30 12:36:00 */

static void check(const Sigv4 *out)
{
        static const char begin[] = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20";
        Slice line = buf_slice(&out->authorization);

        if (line.size < strlen(begin) + 64 || memcmp(line.data, begin, strlen(begin)) != 0)
                abort();
        for (size_t i = 0; i < line.size; i++)
                if (line.data[i] < ' ' || line.data[i] > '~')
                        abort();
        if (memcmp(out->date, "20150830T12", 11) != 0)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Sigv4Credential credential;
        Sigv4 out, again;
        FuzzRequest f;
        int r;

        (void)!sigv4_parse_credential(slice(data, size), &credential);
        if (sigv4_parse_credential(slice_text("AKIDEXAMPLE:secretsecret:tokentoken"), &credential))
                abort();
        fuzz_request(&f, slice(data, size));
        r = sigv4_sign(&f.request, &credential, NOW, &f.body, &out);
        if (r == 0)
                check(&out);
        if (sigv4_sign(&f.request, &credential, NOW, &f.body, &again) != r ||
            !slice_equal(buf_slice(&out.authorization), buf_slice(&again.authorization)))
                abort();
        sigv4_deinit(&out);
        sigv4_deinit(&again);
        pool_deinit(&f.pool);
        return 0;
}
