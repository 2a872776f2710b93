/*
 * A canonical request with markers anywhere (request.h), behind a byte that chooses the slot. What is sent
 * is one request without a marker, and the credential is in it once and where the slot is, or not at all.
 */
#include "egress/inject_form.h"
#include "request.h"
#include "target.h"
#include <stdlib.h>

#define NOW     UINT64_C(1440938160000000) /* 2015-08-30 12:36:00 */
#define PLAIN   "credential-of-one-kind"
#define AWS_KEY "AKIDEXAMPLE:credential-of/another"

static size_t count(Slice text, const char *what)
{
        const uint8_t *at = text.data;
        size_t n = 0, left = text.size;

        while (left > 0 && (at = memmem(at, left, what, strlen(what)))) {
                n++;
                at++;
                left = text.size - (size_t)(at - text.data);
        }
        return n;
}

static void check_text(Slice text)
{
        for (size_t i = 0; i < text.size; i++)
                if ((text.data[i] < ' ' && text.data[i] != '\t') || text.data[i] == 0x7f)
                        abort();
}

/* Whoever could write the credential into a request would have no use for us. */
static bool is_told(Slice input)
{
        return count(input, PLAIN) > 0;
}

static void check(const FuzzRequest *f, SlotKind slot, const Injection *out, bool told)
{
        size_t n = count(slice_text(out->path), PLAIN) + count(slice_text(out->query), PLAIN) +
                   count(buf_slice(&out->body), PLAIN);
        bool basic = false;

        check_text(slice_text(out->path));
        check_text(slice_text(out->query));
        for (size_t i = 0; i < out->n_headers; i++) {
                check_text(out->headers[i].name);
                check_text(out->headers[i].value);
                n += count(out->headers[i].value, PLAIN);
                basic = basic || count(out->headers[i].value, "Basic ") > 0;
        }
        if (!told && n > (out->used ? 1 : 0))
                abort();
        if (!told && out->used && n != 1 && slot != SLOT_SIGV4 && !basic)
                abort();
        if (out->used && slot != SLOT_FORM && !inject_has_marker(&f->request))
                abort();
        if (!out->used && out->has_body && !slice_equal(buf_slice(&out->body), f->body))
                abort();
}

/* The same body in two portions is the same, or refused the same. */
static void check_form(const FuzzRequest *f, const Secret *credential, size_t at)
{
        Buf one = BUF_NULL(1U << 20), two = BUF_NULL(1U << 20);
        InjectForm form;
        int r, q;

        at = MIN(at, f->body.size);
        inject_form_init(&form, "token", credential);
        r = inject_form_feed(&form, f->body, &one);
        inject_form_init(&form, "token", credential);
        q = inject_form_feed(&form, slice(f->body.data, at), &two);
        if (q == 0)
                q = inject_form_feed(&form, slice(f->body.data + at, f->body.size - at), &two);
        if (r != q || !slice_equal(buf_slice(&one), buf_slice(&two)))
                abort();
        buf_deinit(&one);
        buf_deinit(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static Arena *arena;
        EgressPolicy policy = { .slot_name = "token", .slot_prefix = NULL };
        InjectInput input = { .policy = &policy, .now = NOW };
        Secret *credential;
        FuzzRequest f;
        Injection out;

        if (!arena && arena_new(&arena, 16384))
                abort();
        if (size < 2)
                return 0;
        policy.slot = data[0] % _SLOT_KIND_N;
        policy.slot_prefix = data[0] & 0x80 ? "bot" : NULL;
        if (secret_from_bytes(&credential, arena, slice_text(policy.slot == SLOT_SIGV4 ? AWS_KEY : PLAIN)))
                abort();
        fuzz_request(&f, slice(data + 1, size - 1));
        input.request = &f.request;
        input.credential = credential;
        input.body = f.body;
        input.whole = inject_body(&policy, &f.request) == INJECT_BODY_WHOLE;
        if (inject_request(&input, &out) == 0)
                check(&f, (SlotKind)policy.slot, &out, is_told(slice(data, size)));
        else if (out.used || out.has_body)
                abort();
        injection_deinit(&out);
        check_form(&f, credential, data[0]);
        secret_free(credential);
        pool_deinit(&f.pool);
        return 0;
}
