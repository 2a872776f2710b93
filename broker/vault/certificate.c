#include "vault/certificate.h"
#include "base/clock.h"
#include "base/ident.h"
#include "base/text.h"
#include <mbedtls/ecp.h>
#include <mbedtls/oid.h>
#include <mbedtls/pk.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#include <sodium.h>
#include <stdio.h>

/* Clients whose clock is behind ours must take it at once; those ahead, to the end. */
#define BACKDATE_USEC (3600 * USEC_PER_SEC)
#define OVERTIME_USEC (86400 * USEC_PER_SEC)
#define SERIAL_SIZE   16U
#define HOST_MAX      253U
#define LABEL_MAX     63U
/* SEC 1 with the public key beside: 121 bytes for P-256. */
#define KEY_SIZE_MAX 256U
/* "YYYYMMDDhhmmss" and a NUL. */
#define DATE_SIZE 15U
#define PEM_LINE  64U

/* DER tags. */
#define TAG_SEQUENCE  0x30U
#define TAG_DNS_NAME  0x82U /* GeneralName [2] */
#define TAG_PERMITTED 0xa0U /* NameConstraints [0] */

/* SEQUENCE { OID id-kp-serverAuth } */
static const uint8_t server_auth[] = { 0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01 };

static int random_bytes(UNUSED void *context, unsigned char *out, size_t size)
{
        randombytes_buf(out, size);
        return 0;
}

/* ---- what differs between mbedTLS 2.28 and 3.6 ---- */

#if MBEDTLS_VERSION_NUMBER >= 0x03040000
static int set_serial(mbedtls_x509write_cert *certificate, uint8_t serial[SERIAL_SIZE])
{
        return mbedtls_x509write_crt_set_serial_raw(certificate, serial, SERIAL_SIZE);
}
#else
static int set_serial(mbedtls_x509write_cert *certificate, uint8_t serial[SERIAL_SIZE])
{
        mbedtls_mpi number;
        int r;

        mbedtls_mpi_init(&number);
        r = mbedtls_mpi_read_binary(&number, serial, SERIAL_SIZE);
        if (r == 0)
                r = mbedtls_x509write_crt_set_serial(certificate, &number);
        mbedtls_mpi_free(&number);
        return r;
}
#endif

/*
 * Multiples of the curve's base point come from a table. 2.28 makes one for each group that is loaded and at first
 * use, which takes longer than the use of it; 3.x has it ready. So all is done in the one group of the CA's key: the
 * leaf's key is made there too, and signing goes by a view of type ECDSA, as that of type ECKEY signs in a copy.
 */
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
static int fill_key(mbedtls_pk_context *key, UNUSED mbedtls_pk_context *group)
{
        return mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*key), random_bytes, NULL);
}

static mbedtls_pk_context *signer_of(mbedtls_pk_context *key, UNUSED mbedtls_pk_context *view)
{
        return key;
}
#else
static int fill_key(mbedtls_pk_context *key, mbedtls_pk_context *group)
{
        mbedtls_ecp_keypair *pair = mbedtls_pk_ec(*key);
        int r = mbedtls_ecp_group_load(&pair->grp, MBEDTLS_ECP_DP_SECP256R1);

        return r == 0 ? mbedtls_ecp_gen_keypair(&mbedtls_pk_ec(*group)->grp, &pair->d, &pair->Q, random_bytes, NULL) : r;
}

/* The view is not freed. */
static mbedtls_pk_context *signer_of(mbedtls_pk_context *key, mbedtls_pk_context *view)
{
        view->pk_info = mbedtls_pk_info_from_type(MBEDTLS_PK_ECDSA);
        view->pk_ctx = key->pk_ctx;
        return view;
}
#endif

/* ---- names ---- */

static bool is_ldh(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* Labels of letters, digits and hyphens; the last one is no number, since that would be an address. */
static bool is_host(const char *host)
{
        const char *label = host;
        size_t n = strlen(host);

        if (n == 0 || n > HOST_MAX)
                return false;
        for (const char *p = host;; p++) {
                if (*p && *p != '.') {
                        if (!is_ldh(*p))
                                return false;
                        continue;
                }
                if (p == label || (size_t)(p - label) > LABEL_MAX || *label == '-' || p[-1] == '-')
                        return false;
                if (!*p)
                        return strspn(label, "0123456789") != strlen(label);
                label = p + 1;
        }
}

/* What a name constraint says for it: a name permits itself and all names below (RFC 5280, 4.2.1.10). */
static const char *base_of(const char *host)
{
        return strncmp(host, "*.", 2) == 0 ? host + 2 : host;
}

static int check_hosts(const TextList *hosts)
{
        size_t size = 0;

        if (hosts->n == 0)
                return CERTIFICATE_E_HOST;
        for (size_t i = 0; i < hosts->n; i++) {
                if (!is_host(base_of(hosts->items[i])))
                        return CERTIFICATE_E_HOST;
                size += strlen(hosts->items[i]) + 8; /* and what DER puts around it */
                if (size > CERTIFICATE_NAMES_MAX)
                        return CERTIFICATE_E_TOO_MANY;
        }
        return 0;
}

/* ---- DER: what mbedTLS 2.28 has no writer for ---- */

static int append_der(Buf *out, uint8_t tag, Slice content)
{
        int r = buf_append_u8(out, tag);

        if (r == 0 && content.size > 0xff)
                r = buf_append_u8(out, 0x82);
        else if (r == 0 && content.size > 0x7f)
                r = buf_append_u8(out, 0x81);
        if (r == 0 && content.size > 0xff)
                r = buf_append_u8(out, (uint8_t)(content.size >> 8));
        if (r == 0)
                r = buf_append_u8(out, (uint8_t)(content.size & 0xff));
        return r == 0 ? buf_append(out, content.data, content.size) : r;
}

/* SEQUENCE of dNSName. */
static int encode_names(const TextList *hosts, Buf *out)
{
        _cleanup_(buf_deinit) Buf names = BUF_NULL(CERTIFICATE_SIZE_MAX);
        int r = 0;

        for (size_t i = 0; r == 0 && i < hosts->n; i++)
                r = append_der(&names, TAG_DNS_NAME, slice_text(hosts->items[i]));
        return r == 0 ? append_der(out, TAG_SEQUENCE, buf_slice(&names)) : r;
}

/* SEQUENCE { permittedSubtrees [0] { GeneralSubtree { dNSName }, ... } } */
static int encode_constraints(const TextList *hosts, Buf *out)
{
        _cleanup_(buf_deinit) Buf subtrees = BUF_NULL(CERTIFICATE_SIZE_MAX);
        _cleanup_(buf_deinit) Buf permitted = BUF_NULL(CERTIFICATE_SIZE_MAX);
        _cleanup_(buf_deinit) Buf name = BUF_NULL(CERTIFICATE_SIZE_MAX);
        int r = 0;

        for (size_t i = 0; r == 0 && i < hosts->n; i++) {
                buf_clear(&name);
                r = append_der(&name, TAG_DNS_NAME, slice_text(base_of(hosts->items[i])));
                if (r == 0)
                        r = append_der(&subtrees, TAG_SEQUENCE, buf_slice(&name));
        }
        if (r == 0)
                r = append_der(&permitted, TAG_PERMITTED, buf_slice(&subtrees));
        return r == 0 ? append_der(out, TAG_SEQUENCE, buf_slice(&permitted)) : r;
}

/* ---- writing and signing ---- */

static int from_mbedtls(int r)
{
        return r == 0 ? 0 : r == MBEDTLS_ERR_X509_ALLOC_FAILED || r == MBEDTLS_ERR_PK_ALLOC_FAILED ? -ENOMEM
                                                                                               : CERTIFICATE_E_CRYPTO;
}

/* `group` is the key in whose group it is made, which may be itself. */
static int make_key(mbedtls_pk_context *key, mbedtls_pk_context *group)
{
        int r = mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));

        return from_mbedtls(r == 0 ? fill_key(key, group) : r);
}

static void format_date(uint64_t wall_usec, char out[DATE_SIZE])
{
        char text[TEXT_TIME_SIZE];
        size_t n = 0;

        text_time(wall_usec, text);
        for (const char *p = text; *p && n < DATE_SIZE - 1; p++)
                if (*p >= '0' && *p <= '9')
                        out[n++] = *p;
        out[n] = '\0';
}

/* What both have: serial, validity, issuer, keys. Neither name holds anything that a configuration or a
 * client has written. */
static int begin(mbedtls_x509write_cert *certificate, const CertificateAsk *ask, mbedtls_pk_context *subject,
                 mbedtls_pk_context *issuer)
{
        uint8_t serial[SERIAL_SIZE];
        char name[64], from[DATE_SIZE], to[DATE_SIZE];
        int r;

        (void)snprintf(name, sizeof(name), "O=mcpcred,CN=mcpcred session %s", ask->session);
        format_date(ask->now - MIN(ask->now, BACKDATE_USEC), from);
        format_date(ask->expires + OVERTIME_USEC, to);
        randombytes_buf(serial, sizeof(serial));
        serial[0] = (uint8_t)((serial[0] & 0x7fU) | 0x40U); /* positive, and of this length */
        mbedtls_x509write_crt_set_md_alg(certificate, MBEDTLS_MD_SHA256);
        mbedtls_x509write_crt_set_subject_key(certificate, subject);
        mbedtls_x509write_crt_set_issuer_key(certificate, issuer);
        r = set_serial(certificate, serial);
        if (r == 0)
                r = mbedtls_x509write_crt_set_validity(certificate, from, to);
        if (r == 0)
                r = mbedtls_x509write_crt_set_issuer_name(certificate, name);
        if (r == 0 && subject == issuer)
                r = mbedtls_x509write_crt_set_subject_name(certificate, name);
        if (r == 0)
                r = mbedtls_x509write_crt_set_subject_key_identifier(certificate);
        if (r == 0)
                r = mbedtls_x509write_crt_set_authority_key_identifier(certificate);
        return from_mbedtls(r);
}

static int set_extension(mbedtls_x509write_cert *certificate, const char *oid, size_t oid_size, bool critical,
                         Slice value)
{
        return from_mbedtls(mbedtls_x509write_crt_set_extension(certificate, oid, oid_size, critical ? 1 : 0, value.data,
                                                                value.size));
}

/* Signs, and appends the DER form. */
static int finish(mbedtls_x509write_cert *certificate, mbedtls_pk_context *issuer, Buf *out)
{
        mbedtls_pk_context view;
        _cleanup_(freep) uint8_t *room = malloc(CERTIFICATE_SIZE_MAX);
        int n;

        if (!room)
                return -ENOMEM;
        mbedtls_x509write_crt_set_issuer_key(certificate, signer_of(issuer, &view));
        /* Written from the end of the buffer backwards. */
        n = mbedtls_x509write_crt_der(certificate, room, CERTIFICATE_SIZE_MAX, random_bytes, NULL);
        if (n <= 0)
                return from_mbedtls(n < 0 ? n : -1);
        return buf_append(out, room + (CERTIFICATE_SIZE_MAX - (size_t)n), (size_t)n);
}

static int write_ca(const CertificateAsk *ask, mbedtls_pk_context *key, Buf *der)
{
        _cleanup_(buf_deinit) Buf constraints = BUF_NULL(CERTIFICATE_SIZE_MAX);
        _cleanup_(mbedtls_x509write_crt_free) mbedtls_x509write_cert certificate;
        int r;

        mbedtls_x509write_crt_init(&certificate);
        r = begin(&certificate, ask, key, key);
        if (r == 0)
                r = from_mbedtls(mbedtls_x509write_crt_set_basic_constraints(&certificate, 1, 0));
        if (r == 0)
                r = from_mbedtls(mbedtls_x509write_crt_set_key_usage(&certificate, MBEDTLS_X509_KU_KEY_CERT_SIGN));
        if (r == 0)
                r = encode_constraints(&ask->hosts, &constraints);
        if (r == 0)
                r = set_extension(&certificate, MBEDTLS_OID_NAME_CONSTRAINTS,
                                  MBEDTLS_OID_SIZE(MBEDTLS_OID_NAME_CONSTRAINTS), true, buf_slice(&constraints));
        return r == 0 ? finish(&certificate, key, der) : r;
}

/* Its subject is empty, so that its names are critical. */
static int write_leaf(const CertificateAsk *ask, mbedtls_pk_context *key, mbedtls_pk_context *ca, Buf *der)
{
        _cleanup_(buf_deinit) Buf names = BUF_NULL(CERTIFICATE_SIZE_MAX);
        _cleanup_(mbedtls_x509write_crt_free) mbedtls_x509write_cert certificate;
        int r;

        mbedtls_x509write_crt_init(&certificate);
        r = begin(&certificate, ask, key, ca);
        if (r == 0)
                r = from_mbedtls(mbedtls_x509write_crt_set_key_usage(&certificate, MBEDTLS_X509_KU_DIGITAL_SIGNATURE));
        if (r == 0)
                r = set_extension(&certificate, MBEDTLS_OID_EXTENDED_KEY_USAGE,
                                  MBEDTLS_OID_SIZE(MBEDTLS_OID_EXTENDED_KEY_USAGE), false,
                                  slice(server_auth, sizeof(server_auth)));
        if (r == 0)
                r = encode_names(&ask->hosts, &names);
        if (r == 0)
                r = set_extension(&certificate, MBEDTLS_OID_SUBJECT_ALT_NAME,
                                  MBEDTLS_OID_SIZE(MBEDTLS_OID_SUBJECT_ALT_NAME), true, buf_slice(&names));
        return r == 0 ? finish(&certificate, ca, der) : r;
}

static int write_key(mbedtls_pk_context *key, Arena *arena, Secret **ret)
{
        _cleanup_(secret_freep) Secret *secret = NULL;
        size_t capacity;
        uint8_t *room;
        int r;

        r = secret_new(&secret, arena, KEY_SIZE_MAX);
        if (r)
                return r > 0 ? CERTIFICATE_E_FULL : r;
        room = secret_buffer(secret, &capacity);
        /* Written from the end of the buffer backwards. */
        r = mbedtls_pk_write_key_der(key, room, capacity);
        if (r <= 0)
                return from_mbedtls(r < 0 ? r : -1);
        memmove(room, room + (capacity - (size_t)r), (size_t)r);
        secret_set_size(secret, (size_t)r);
        *ret = take_ptr(secret);
        return 0;
}

static int append_pem(Slice der, Buf *out)
{
        size_t size = sodium_base64_ENCODED_LEN(der.size, sodium_base64_VARIANT_ORIGINAL);
        _cleanup_(freep) char *text = malloc(size);
        int r;

        if (!text)
                return -ENOMEM;
        (void)sodium_bin2base64(text, size, der.data, der.size, sodium_base64_VARIANT_ORIGINAL);
        r = buf_append_text(out, "-----BEGIN CERTIFICATE-----\n");
        for (size_t at = 0; r == 0 && text[at]; at += strnlen(text + at, PEM_LINE)) {
                r = buf_append(out, text + at, strnlen(text + at, PEM_LINE));
                if (r == 0)
                        r = buf_append_u8(out, '\n');
        }
        return r == 0 ? buf_append_text(out, "-----END CERTIFICATE-----\n") : r;
}

int certificate_make(const CertificateAsk *ask, Arena *arena, Certificate *ret)
{
        _cleanup_(mbedtls_pk_free) mbedtls_pk_context ca;
        _cleanup_(mbedtls_pk_free) mbedtls_pk_context key;
        _cleanup_(buf_deinit) Buf der = BUF_NULL(CERTIFICATE_SIZE_MAX);
        Certificate made = { .ca = BUF_NULL(2 * CERTIFICATE_SIZE_MAX), .leaf = BUF_NULL(CERTIFICATE_SIZE_MAX) };
        int r;

        mbedtls_pk_init(&ca);
        mbedtls_pk_init(&key);
        r = ident_is_valid(ask->session, 's') ? check_hosts(&ask->hosts) : -EINVAL;
        if (r == 0)
                r = make_key(&ca, &ca);
        if (r == 0)
                r = make_key(&key, &ca);
        if (r == 0)
                r = write_ca(ask, &ca, &der);
        if (r == 0)
                r = append_pem(buf_slice(&der), &made.ca);
        if (r == 0)
                r = write_leaf(ask, &key, &ca, &made.leaf);
        if (r == 0)
                r = write_key(&key, arena, &made.key);
        if (r)
                certificate_deinit(&made);
        else
                *ret = made;
        return r;
}

void certificate_deinit(Certificate *certificate)
{
        buf_deinit(&certificate->ca);
        buf_deinit(&certificate->leaf);
        certificate->key = secret_free(certificate->key);
}

const char *certificate_strerror(int r)
{
        static const char *const sentences[] = {
                [CERTIFICATE_E_HOST] = "a host that is allowed is not a DNS name",
                [CERTIFICATE_E_TOO_MANY] = "the hosts that are allowed are too many for one certificate",
                [CERTIFICATE_E_FULL] = "there is no room in locked memory",
                [CERTIFICATE_E_CRYPTO] = "the certificate could not be made",
        };

        if (r <= 0 || r >= (int)ARRAY_SIZE(sentences))
                return "the certificate could not be made";
        return sentences[r];
}
