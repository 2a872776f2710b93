#include "egress/inject.h"
#include "egress/inject_form.h"
#include "egress/percent.h"
#include "egress/sigv4.h"
#include "http/chars.h"
#include <sodium.h>

/* What a changed part, or all that SigV4 writes, may take. */
#define BYTES_MAX (256U * 1024U)
#define BASE64    sodium_base64_VARIANT_ORIGINAL

static const char form_type[] = "application/x-www-form-urlencoded";

const InjectErrorInfo *inject_error_info(int error)
{
        static const InjectErrorInfo infos[_INJECT_E_N] = {
                [_INJECT_E_SUCCESS] = { 500, "internal", "The request could not be prepared." },
                [INJECT_E_REQUEST] = { 400, "malformed", "The request has characters that none may have." },
                [INJECT_E_PLACE] = { 403, "handle-place",
                                     "The handle stands where the profile does not put a credential." },
                [INJECT_E_FORM] = { 403, "handle-form",
                                    "The handle is in its place, but not in a form that the profile knows." },
                [INJECT_E_USER] = { 403, "handle-form",
                                    "The user name beside the handle has characters that none may have." },
                [INJECT_E_CREDENTIAL] = { 403, "credential", "The session has no credential for this request." },
                [INJECT_E_TOO_LONG] = { 431, "too-long", "With the credential, the request is too long." },
                [INJECT_E_BODY] = { 413, "body", "The body is too large to be looked at whole, as it has to be." },
                [INJECT_E_SCOPE] = { 403, "signature",
                                     "The request's signature is not of a kind that can be made anew." },
                [INJECT_E_DATE] = { 403, "clock", "The request's date is too far from the time of this machine." },
        };

        return &infos[error > 0 && error < _INJECT_E_N ? error : 0];
}

/* ---- the credential ---- */

static bool is_printable_ascii(Slice text)
{
        for (size_t i = 0; i < text.size; i++)
                if (text.data[i] < ' ' || text.data[i] > '~')
                        return false;
        return true;
}

int inject_check_credential(SlotKind slot, Slice credential)
{
        Sigv4Credential parsed;

        if (credential.size < INJECT_CREDENTIAL_MIN || credential.size > INJECT_CREDENTIAL_MAX ||
            !is_printable_ascii(credential) || credential.data[0] == ' ' ||
            credential.data[credential.size - 1] == ' ')
                return INJECT_E_CREDENTIAL;
        switch (slot) {
        case SLOT_BEARER:
        case SLOT_AUTHORIZATION:
        case SLOT_KEY:
                return memchr(credential.data, ' ', credential.size) ? INJECT_E_CREDENTIAL : 0;
        case SLOT_SIGV4:
                return sigv4_parse_credential(credential, &parsed) ? INJECT_E_CREDENTIAL : 0;
        case SLOT_BASIC:
        case SLOT_HEADER:
        case SLOT_QUERY:
        case SLOT_PATH:
        case SLOT_FORM:
                return 0;
        case SLOT_NONE:
        case _SLOT_KIND_N:
                break;
        }
        return INJECT_E_CREDENTIAL;
}

size_t inject_secrets(SlotKind slot, Slice credential, Slice out[INJECT_SECRETS_MAX])
{
        Sigv4Credential parsed;

        if (slot != SLOT_SIGV4 || sigv4_parse_credential(credential, &parsed)) {
                out[0] = credential;
                return 1;
        }
        out[0] = parsed.secret;
        out[1] = parsed.token;
        return parsed.token.size > 0 ? 2 : 1;
}

/* ---- the marker, and what may stand beside it ---- */

static const HeaderField *header_at(const EgressRequest *request, size_t i)
{
        return (const HeaderField *)request->headers.items + i;
}

static size_t count_markers(const char *text)
{
        size_t n = 0;

        for (; text && *text; text++)
                n += *text == SLOT_MARKER;
        return n;
}

static size_t count_all(const EgressRequest *request)
{
        size_t n = count_markers(request->method) + count_markers(request->host) + count_markers(request->path) +
                   count_markers(request->query);

        for (size_t i = 0; i < request->headers.n; i++)
                n += count_markers(header_at(request, i)->name) + count_markers(header_at(request, i)->value);
        return n;
}

bool inject_has_marker(const EgressRequest *request)
{
        return count_all(request) > 0;
}

/* No control characters but the marker, and of a tab where `extra` has one; no space in a target. */
static bool is_clean(const char *text, char from, const char *extra)
{
        for (; *text; text++)
                if (((uint8_t)*text < (uint8_t)from && *text != SLOT_MARKER && !strchr(extra, *text)) || *text == 0x7f)
                        return false;
        return true;
}

static bool is_token(const char *text)
{
        const char *at = text;

        while (http_is_token((uint8_t)*at) || *at == SLOT_MARKER)
                at++;
        return *text && !*at;
}

static bool has_capital(const char *text)
{
        while (*text && (*text < 'A' || *text > 'Z'))
                text++;
        return *text;
}

/* The writer of the head checks again; this is for what is decided here. */
static int check_request(const EgressRequest *request)
{
        if (request->headers.n > LIMIT_HEADERS)
                return INJECT_E_TOO_LONG;
        if (!is_token(request->method) || request->path[0] != '/' || !is_clean(request->path, '!', "") ||
            strpbrk(request->path, "?#") || !is_clean(request->host, '!', "") ||
            (request->query && (!is_clean(request->query, '!', "") || strchr(request->query, '#'))))
                return INJECT_E_REQUEST;
        for (size_t i = 0; i < request->headers.n; i++) {
                const HeaderField *header = header_at(request, i);

                if (!is_token(header->name) || has_capital(header->name) ||
                    !is_clean(header->value, ' ', "\t"))
                        return INJECT_E_REQUEST;
        }
        return 0;
}

/* The one header of this name; NULL when there is none, or several. `ret_n` says how many. */
static const HeaderField *find(const EgressRequest *request, const char *name, size_t *ret_n)
{
        const HeaderField *found = NULL;

        *ret_n = 0;
        for (size_t i = 0; i < request->headers.n; i++)
                if (strcasecmp(header_at(request, i)->name, name) == 0) {
                        found = header_at(request, i);
                        (*ret_n)++;
                }
        return *ret_n == 1 ? found : NULL;
}

static bool is_marker(Slice text)
{
        return text.size == 1 && text.data[0] == SLOT_MARKER;
}

/* ---- writing ---- */

/* The text with the credential, percent-encoded, in the marker's place, and a NUL. */
static int replace_in_target(Buf *out, const char *text, Slice credential)
{
        const char *marker = strchr(text, SLOT_MARKER);
        size_t size = strlen(text) - 1 + percent_size(credential);
        int r;

        if (!marker)
                return -EINVAL;
        if (size > LIMIT_TARGET)
                return INJECT_E_TOO_LONG;
        r = buf_append(out, text, (size_t)(marker - text));
        if (r == 0)
                r = percent_append_text(out, credential);
        if (r == 0)
                r = buf_append_text(out, marker + 1);
        return r ? r : buf_append_u8(out, 0);
}

/* ---- slots in headers ---- */

/* The header that the marker has to be in: its value is `ret`. */
static int find_slot(const EgressRequest *request, const char *name, const HeaderField **ret)
{
        size_t n;
        const HeaderField *header = find(request, name, &n);

        if (header && count_markers(header->value) == 1) {
                *ret = header;
                return 0;
        }
        for (size_t i = 0; n > 1 && i < request->headers.n; i++)
                if (strcasecmp(header_at(request, i)->name, name) == 0 && count_markers(header_at(request, i)->value))
                        return INJECT_E_FORM; /* which of them would the upstream take? */
        return INJECT_E_PLACE;
}

/* Swaps the value of one header. */
static void set_value(Injection *ret, const EgressRequest *request, const HeaderField *header, Slice value)
{
        ret->headers[header - header_at(request, 0)].value = value;
}

static bool skip_scheme(Slice *text, const char *scheme)
{
        size_t n = strlen(scheme);

        if (text->size <= n || strncasecmp((const char *)text->data, scheme, n) != 0 || text->data[n] != ' ')
                return false;
        *text = slice(text->data + n + 1, text->size - n - 1);
        return true;
}

static int write_bearer(Buf *out, Slice text, Slice credential)
{
        const char *scheme;
        int r;

        if (skip_scheme(&text, "bearer"))
                scheme = "Bearer ";
        else if (skip_scheme(&text, "token"))
                scheme = "token ";
        else
                return INJECT_E_FORM;
        if (!is_marker(text))
                return INJECT_E_FORM;
        r = buf_append_text(out, scheme);
        return r ? r : buf_append(out, credential.data, credential.size);
}

/* RFC 7617: neither part has control characters, the user no colon. */
static int write_plain_basic(Buf *plain, Slice text, Slice credential)
{
        const uint8_t *colon = memchr(text.data, ':', text.size);
        Slice user, password;
        int r;

        if (!colon)
                return INJECT_E_FORM;
        user = slice(text.data, (size_t)(colon - text.data));
        password = slice(colon + 1, text.size - user.size - 1);
        if (is_marker(user) && password.size == 0) {
                if (memchr(credential.data, ':', credential.size))
                        return INJECT_E_CREDENTIAL;
                r = buf_append(plain, credential.data, credential.size);
                return r ? r : buf_append_text(plain, ":");
        }
        if (memchr(password.data, ':', password.size) && memchr(password.data, SLOT_MARKER, password.size))
                return INJECT_E_USER;
        if (!is_marker(password))
                return INJECT_E_FORM;
        for (size_t i = 0; i < user.size; i++)
                if (user.data[i] < ' ' || user.data[i] == 0x7f)
                        return INJECT_E_USER;
        if (user.size > INJECT_USER_MAX)
                return INJECT_E_USER;
        r = buf_append(plain, user.data, user.size);
        if (r == 0)
                r = buf_append_text(plain, ":");
        return r ? r : buf_append(plain, credential.data, credential.size);
}

static int write_basic(Buf *out, Slice text, Slice credential)
{
        _cleanup_(buf_deinit) Buf plain = BUF_NULL(INJECT_CREDENTIAL_MAX + INJECT_USER_MAX + 1);
        uint8_t *room;
        size_t size;
        int r;

        if (!skip_scheme(&text, "basic"))
                return INJECT_E_FORM;
        r = write_plain_basic(&plain, text, credential);
        if (r)
                return r;
        r = buf_append_text(out, "Basic ");
        size = sodium_base64_encoded_len(plain.size, BASE64);
        if (r == 0)
                r = buf_reserve(out, size, &room);
        if (r)
                return r;
        (void)sodium_bin2base64((char *)room, size, plain.data, plain.size, BASE64);
        buf_commit(out, size - 1); /* its NUL is not counted */
        return 0;
}

static int write_prefixed(Buf *out, Slice text, const char *prefix, Slice credential)
{
        Slice begin = slice_text(prefix);
        int r;

        if (text.size != begin.size + 1 || !slice_equal(slice(text.data, begin.size), begin) ||
            text.data[begin.size] != SLOT_MARKER)
                return INJECT_E_FORM;
        r = begin.size > 0 ? buf_append(out, begin.data, begin.size) : 0;
        return r ? r : buf_append(out, credential.data, credential.size);
}

static int inject_header(const InjectInput *input, const EgressPolicy *policy, Slice credential, Injection *ret)
{
        const HeaderField *header = NULL;
        Slice value;
        int r;

        r = find_slot(input->request, policy->slot == SLOT_HEADER ? policy->slot_name : "authorization", &header);
        if (r)
                return r;
        value = slice_text(header->value);
        if (policy->slot == SLOT_HEADER)
                r = write_prefixed(&ret->bytes, value, policy->slot_prefix, credential);
        else if (policy->slot == SLOT_BEARER)
                r = write_bearer(&ret->bytes, value, credential);
        else if (policy->slot == SLOT_BASIC)
                r = write_basic(&ret->bytes, value, credential);
        else
                r = strncasecmp(header->value, "basic ", 6) == 0 ? write_basic(&ret->bytes, value, credential)
                                                                 : write_bearer(&ret->bytes, value, credential);
        if (r)
                return r;
        if (ret->bytes.size > LIMIT_HEADER_VALUE)
                return INJECT_E_TOO_LONG;
        set_value(ret, input->request, header, buf_slice(&ret->bytes));
        return 0;
}

/* There is one marker: where it is not in the one header, it is in the other. */
static int inject_key(const InjectInput *input, Slice credential, Injection *ret)
{
        EgressPolicy policy = *input->policy;
        int r;

        policy.slot = SLOT_HEADER;
        r = inject_header(input, &policy, credential, ret);
        if (r != INJECT_E_PLACE)
                return r;
        policy.slot = SLOT_BEARER;
        return inject_header(input, &policy, credential, ret);
}

/* ---- slots in the target ---- */

/* Is this, decoded as a form's, the name? */
static bool is_name(Slice text, const char *name)
{
        while (text.size > 0) {
                bool was_encoded;
                uint8_t c = percent_take(&text, &was_encoded);

                if (c == '+' && !was_encoded)
                        c = ' ';
                if (!*name || c != (uint8_t)*name++)
                        return false;
        }
        return *name == '\0';
}

static int inject_query(const InjectInput *input, Slice credential, Injection *ret)
{
        const char *query = input->request->query, *marker = query ? strchr(query, SLOT_MARKER) : NULL, *name, *equals;
        int r;

        if (!marker)
                return INJECT_E_PLACE;
        for (name = marker; name > query && name[-1] != '&'; name--)
                ;
        equals = memchr(name, '=', (size_t)(marker - name));
        if (!equals || !is_name(slice(name, (size_t)(equals - name)), input->policy->slot_name))
                return INJECT_E_PLACE;
        if (equals + 1 != marker || (marker[1] && marker[1] != '&'))
                return INJECT_E_FORM;
        r = replace_in_target(&ret->bytes, query, credential);
        if (r == 0)
                ret->query = (const char *)ret->bytes.data;
        return r;
}

static int inject_path(const InjectInput *input, Slice credential, Injection *ret)
{
        const char *path = input->request->path, *marker = strchr(path, SLOT_MARKER), *segment;
        Slice prefix = slice_text(input->policy->slot_prefix);
        int r;

        if (!marker)
                return INJECT_E_PLACE;
        for (segment = marker; segment > path && segment[-1] != '/'; segment--)
                ;
        if (!slice_equal(slice(segment, (size_t)(marker - segment)), prefix) || (marker[1] && marker[1] != '/'))
                return INJECT_E_FORM;
        r = replace_in_target(&ret->bytes, path, credential);
        if (r == 0)
                ret->path = (const char *)ret->bytes.data;
        return r;
}

/* ---- SigV4 ---- */

static int from_sigv4(int r)
{
        switch (r) {
        case SIGV4_E_CREDENTIAL:
                return INJECT_E_CREDENTIAL;
        case SIGV4_E_AUTHORIZATION:
                return INJECT_E_FORM;
        case SIGV4_E_SCOPE:
        case SIGV4_E_PRESIGNED:
        case SIGV4_E_PAYLOAD:
        case SIGV4_E_TWICE:
                return INJECT_E_SCOPE;
        case SIGV4_E_DATE:
                return INJECT_E_DATE;
        case SIGV4_E_BODY:
                return -EINVAL;
        case SIGV4_E_TOO_LONG:
                return INJECT_E_TOO_LONG;
        default:
                return r;
        }
}

/* All texts of `signed_request` into one buffer that does not move any more, each header pointing there. */
static int take_signed(const Sigv4 *signed_request, Injection *ret)
{
        Slice values[] = { buf_slice(&signed_request->authorization), slice_text(signed_request->date),
                           signed_request->send_payload ? slice_text(signed_request->payload) : SLICE_NULL,
                           signed_request->token, buf_slice(&signed_request->query) };
        static const char *const names[] = { "authorization", "x-amz-date", "x-amz-content-sha256",
                                             "x-amz-security-token" };
        size_t total = 1, n;
        uint8_t *room;
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(values); i++)
                total += values[i].size;
        r = buf_reserve(&ret->bytes, total, &room);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
                n = ret->bytes.size;
                r = buf_append(&ret->bytes, values[i].data, values[i].size);
                if (r < 0)
                        return r;
                if (values[i].size > 0 && i < ARRAY_SIZE(names))
                        ret->headers[ret->n_headers++] =
                                (InjectHeader){ slice_text(names[i]), slice(ret->bytes.data + n, values[i].size) };
                else if (values[i].size > 0)
                        ret->query = (const char *)ret->bytes.data + n;
        }
        return 0;
}

static bool is_signing_header(Slice name)
{
        return slice_is_text(name, "authorization") || slice_is_text(name, "x-amz-date") ||
               slice_is_text(name, "x-amz-content-sha256") || slice_is_text(name, "x-amz-security-token");
}

static int inject_signature(const InjectInput *input, Slice credential, Injection *ret)
{
        _cleanup_(sigv4_deinit) Sigv4 signed_request = { 0 };
        Sigv4Credential parsed;
        const HeaderField *header = NULL;
        size_t kept = 0;
        int r;

        r = sigv4_parse_credential(credential, &parsed);
        if (r == 0)
                r = find_slot(input->request, "authorization", &header) ? SIGV4_E_AUTHORIZATION : 0;
        if (r == 0)
                r = sigv4_sign(input->request, &parsed, input->now, input->whole ? &input->body : NULL,
                               &signed_request);
        if (r)
                return from_sigv4(r);
        for (size_t i = 0; i < ret->n_headers; i++)
                if (!is_signing_header(ret->headers[i].name))
                        ret->headers[kept++] = ret->headers[i];
        ret->n_headers = kept;
        return take_signed(&signed_request, ret);
}

/* ---- the whole request ---- */

/* One that can be read: compressed, it is bytes like any. */
static bool is_form(const EgressRequest *request)
{
        size_t n, n_codings;
        const HeaderField *header = find(request, "content-type", &n);
        size_t type = strlen(form_type);

        (void)find(request, "content-encoding", &n_codings);
        return header && n_codings == 0 && strncasecmp(header->value, form_type, type) == 0 &&
                strchr("; \t", header->value[type]);
}

InjectBody inject_body(const EgressPolicy *policy, const EgressRequest *request)
{
        if (request->body == BODY_NONE || request->upgrade)
                return INJECT_BODY_AS_IS;
        if (policy->slot == SLOT_SIGV4 && inject_has_marker(request) && sigv4_needs_body(request))
                return INJECT_BODY_WHOLE;
        if (policy->slot != SLOT_FORM || !is_form(request))
                return INJECT_BODY_AS_IS;
        if (request->body == BODY_STREAM)
                return INJECT_BODY_FORM;
        return request->length <= INJECT_FORM_MAX ? INJECT_BODY_WHOLE : INJECT_BODY_SCAN;
}

size_t inject_body_max(const EgressPolicy *policy)
{
        return policy->slot == SLOT_FORM ? INJECT_FORM_MAX : INJECT_SIGNED_BODY_MAX;
}

static int inject_form(const InjectInput *input, Injection *ret)
{
        InjectForm form;
        int r;

        inject_form_init(&form, input->policy->slot_name, input->credential);
        r = inject_form_feed(&form, input->body, &ret->body);
        ret->has_body = r == 0;
        ret->used = r == 0 && form.used;
        return r;
}

static int inject_marker(const InjectInput *input, Injection *ret)
{
        Slice credential = secret_slice(input->credential);

        if (input->policy->slot == SLOT_NONE || input->policy->slot == SLOT_FORM)
                return INJECT_E_PLACE; /* a form's is in the body */
        /* It was checked at the grant; what ends a header line here would be another request. */
        if (!input->credential || inject_check_credential((SlotKind)input->policy->slot, credential))
                return INJECT_E_CREDENTIAL;
        switch (input->policy->slot) {
        case SLOT_BEARER:
        case SLOT_BASIC:
        case SLOT_AUTHORIZATION:
        case SLOT_HEADER:
                return inject_header(input, input->policy, credential, ret);
        case SLOT_KEY:
                return inject_key(input, credential, ret);
        case SLOT_QUERY:
                return inject_query(input, credential, ret);
        case SLOT_PATH:
                return inject_path(input, credential, ret);
        case SLOT_SIGV4:
                return inject_signature(input, credential, ret);
        default:
                return INJECT_E_PLACE;
        }
}

/* Is what the slot needs to be known there? */
static bool is_policy_whole(const EgressPolicy *policy)
{
        bool named = policy->slot == SLOT_HEADER || policy->slot == SLOT_KEY || policy->slot == SLOT_QUERY ||
                     policy->slot == SLOT_FORM;

        return policy->slot < _SLOT_KIND_N && (!named || policy->slot_name);
}

static int inject_checked(const InjectInput *input, Injection *ret)
{
        const EgressRequest *request = input->request;
        size_t markers;
        int r;

        r = check_request(request);
        if (r)
                return r;
        if (!is_policy_whole(input->policy))
                return -EINVAL;
        if (inject_body(input->policy, request) == INJECT_BODY_WHOLE && !input->whole)
                return -EINVAL;
        if (input->whole && input->body.size > inject_body_max(input->policy))
                return INJECT_E_BODY;
        for (size_t i = 0; i < request->headers.n; i++)
                ret->headers[ret->n_headers++] = (InjectHeader){ slice_text(header_at(request, i)->name),
                                                                 slice_text(header_at(request, i)->value) };
        markers = count_all(request);
        if (markers > 1)
                return INJECT_E_PLACE;
        if (markers == 1) {
                r = inject_marker(input, ret);
                ret->used = r == 0;
        } else if (input->whole && input->policy->slot == SLOT_FORM && is_form(request)) {
                return inject_form(input, ret);
        }
        if (r == 0 && input->whole)
                r = buf_append(&ret->body, input->body.data, input->body.size);
        ret->has_body = r == 0 && input->whole;
        return r;
}

int inject_request(const InjectInput *input, Injection *ret)
{
        int r;

        *ret = (Injection){ .path = input->request->path,
                            .query = input->request->query,
                            .body = BUF_NULL(INJECT_SIGNED_BODY_MAX + 3 * INJECT_CREDENTIAL_MAX),
                            .bytes = BUF_NULL(BYTES_MAX) };
        r = inject_checked(input, ret);
        return r == -ENOBUFS ? INJECT_E_TOO_LONG : r;
}

void injection_deinit(Injection *injection)
{
        if (!injection)
                return;
        buf_deinit(&injection->body);
        buf_deinit(&injection->bytes);
        injection->path = injection->query = NULL;
        injection->n_headers = 0;
}
