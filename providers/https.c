#include "providers/https.h"
#include "base/fd.h"
#include "base/wipe.h"
#include <curl/curl.h>
#include <fcntl.h>
#include <poll.h>

/* Debian's bundle is 220 KB. */
#define ROOTS_MAX      (4U * 1024U * 1024U)
#define ROOTS_FALLBACK "/etc/ssl/certs/ca-certificates.crt"

struct Https {
        CURL *curl;
        Arena *arena;
        HttpsConfig config;
};

/* One request under way. */
typedef struct Transfer {
        const Https *https;
        HttpsResponse *response;
        bool began; /* a connection with TLS stands, and the request is about to be written */
        bool too_large;
        bool aborted;
        int error; /* -errno of ours */
} Transfer;

int https_global_init(void)
{
        CURLcode code = curl_global_init_mem(CURL_GLOBAL_SSL, wipe_malloc, wipe_free, wipe_realloc,
                                             wipe_strdup, wipe_calloc);

        return code == CURLE_OK ? 0 : -ENOSYS;
}

static int append_file(Buf *buf, const char *path)
{
        _cleanup_(freep) char *text = NULL;
        int r;

        r = fd_read_file_at(AT_FDCWD, path, ROOTS_MAX, &text);
        if (r == 0)
                r = buf_append_text(buf, text);
        return r < 0 ? r : buf_append_text(buf, "\n");
}

int https_load_roots(Buf *ret, const char *extra)
{
        CURL *curl = curl_easy_init();
        char *path = NULL;
        int r;

        if (!curl)
                return -ENOMEM;
        *ret = BUF_NULL(2 * ROOTS_MAX + 2);
        if (curl_easy_getinfo(curl, CURLINFO_CAINFO, &path) != CURLE_OK || !path)
                r = append_file(ret, ROOTS_FALLBACK);
        else
                r = append_file(ret, path);
        curl_easy_cleanup(curl);
        if (r == -ENOENT && extra)
                r = 0; /* a machine without roots of its own, and one that was named */
        if (r == 0 && extra)
                r = append_file(ret, extra);
        if (r < 0)
                buf_deinit(ret);
        return r;
}

int https_new(Https **ret, Arena *arena, const HttpsConfig *config)
{
        _cleanup_(https_freep) Https *https = calloc(1, sizeof(*https));

        if (!https)
                return -ENOMEM;
        https->arena = arena;
        https->config = *config;
        https->curl = curl_easy_init();
        if (!https->curl)
                return -ENOMEM;
        *ret = take_ptr(https);
        return 0;
}

Https *https_free(Https *https)
{
        if (!https)
                return NULL;
        curl_easy_cleanup(https->curl);
        free(https);
        return NULL;
}

bool https_header_is_valid(Slice header)
{
        if (header.size == 0)
                return false;
        for (size_t i = 0; i < header.size; i++)
                if (header.data[i] < ' ' || header.data[i] > '~')
                        return false;
        return true;
}

int https_url(Buf *ret, const char *base_url, const char *path)
{
        size_t size = strlen(base_url);

        while (size > 0 && base_url[size - 1] == '/')
                size--;
        return buf_printf(ret, "%.*s%s", (int)size, base_url, path);
}

/* ---- callbacks ---- */

static int on_begin(void *userdata, UNUSED char *primary, UNUSED char *local,
                    UNUSED int primary_port, UNUSED int local_port)
{
        Transfer *transfer = userdata;

        transfer->began = true;
        return CURL_PREREQFUNC_OK;
}

static size_t on_header(char *data, size_t size, size_t n, void *userdata)
{
        Transfer *transfer = userdata;

        response_head_line(&transfer->response->head, slice(data, size * n));
        return transfer->response->head.malformed ? 0 : size * n;
}

static size_t on_body(char *data, size_t size, size_t n, void *userdata)
{
        Transfer *transfer = userdata;
        int r = buf_append(&transfer->response->body, data, size * n);

        if (r == -ENOBUFS)
                transfer->too_large = true;
        else if (r < 0)
                transfer->error = r;
        return r == 0 ? size * n : 0;
}

/* libcurl calls this at least once a second, while a name resolves too. */
static int on_progress(void *userdata, UNUSED curl_off_t dltotal, UNUSED curl_off_t dlnow,
                       UNUSED curl_off_t ultotal, UNUSED curl_off_t ulnow)
{
        Transfer *transfer = userdata;
        struct pollfd fds[HTTPS_WATCH_MAX];

        for (size_t i = 0; i < HTTPS_WATCH_MAX; i++)
                fds[i] = (struct pollfd){ .fd = transfer->https->config.watch[i],
                                          .events = POLLRDHUP };
        if (poll(fds, HTTPS_WATCH_MAX, 0) > 0)
                transfer->aborted = true;
        return transfer->aborted;
}

/* ---- options ---- */

/* One setting after another; the first that libcurl refuses makes the request not happen. */
#define SET(option, value)                                                                         \
        do {                                                                                       \
                if (curl_easy_setopt(curl, option, value) != CURLE_OK)                             \
                        return -ENOTSUP;                                                           \
        } while (0)

static int set_connection(Https *https)
{
        CURL *curl = https->curl;
        struct curl_blob roots = {
                .data = (void *)(uintptr_t)https->config.roots.data,
                .len = https->config.roots.size,
                .flags = CURL_BLOB_NOCOPY,
        };

        SET(CURLOPT_PROTOCOLS_STR, "https");
        SET(CURLOPT_REDIR_PROTOCOLS_STR, "https");
        SET(CURLOPT_FOLLOWLOCATION, 0L);
        /* The owner's, or none at all: what the environment says plays no part. */
        SET(CURLOPT_PROXY, https->config.upstream_proxy ? https->config.upstream_proxy : "");
        SET(CURLOPT_NOPROXY, https->config.upstream_proxy ? "" : "*");
        SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
        SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        SET(CURLOPT_HTTP09_ALLOWED, 0L);
        SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        SET(CURLOPT_SSL_VERIFYPEER, 1L);
        SET(CURLOPT_SSL_VERIFYHOST, 2L);
        SET(CURLOPT_CAINFO, NULL);
        SET(CURLOPT_CAPATH, NULL);
        SET(CURLOPT_CAINFO_BLOB, &roots);
        SET(CURLOPT_NOSIGNAL, 1L);
        SET(CURLOPT_QUICK_EXIT, 1L); /* or the end waits for a name server: measured, 9.8 s */
        SET(CURLOPT_VERBOSE, 0L);
        SET(CURLOPT_USERAGENT, "mcpcred/" MCPCRED_VERSION);
        return 0;
}

static long to_msec(uint64_t usec)
{
        return (long)MIN(MAX(usec / USEC_PER_MSEC, 1), (uint64_t)INT32_MAX);
}

static int set_transfer(Https *https, const HttpsRequest *request, Transfer *transfer)
{
        CURL *curl = https->curl;

        SET(CURLOPT_URL, request->url);
        SET(CURLOPT_CONNECTTIMEOUT_MS,
            to_msec(MIN(https->config.connect_timeout_usec, request->timeout_usec)));
        SET(CURLOPT_TIMEOUT_MS, to_msec(request->timeout_usec));
        SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)request->response_max);
        SET(CURLOPT_PREREQFUNCTION, on_begin);
        SET(CURLOPT_PREREQDATA, transfer);
        SET(CURLOPT_HEADERFUNCTION, on_header);
        SET(CURLOPT_HEADERDATA, transfer);
        SET(CURLOPT_WRITEFUNCTION, on_body);
        SET(CURLOPT_WRITEDATA, transfer);
        SET(CURLOPT_NOPROGRESS, 0L);
        SET(CURLOPT_XFERINFOFUNCTION, on_progress);
        SET(CURLOPT_XFERINFODATA, transfer);
        return 0;
}

static int set_method(CURL *curl, const HttpsRequest *request)
{
        if (strcmp(request->method, "GET") == 0) {
                SET(CURLOPT_HTTPGET, 1L);
        } else if (strcmp(request->method, "POST") == 0) {
                SET(CURLOPT_POST, 1L);
                SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.size);
                SET(CURLOPT_POSTFIELDS,
                    request->body.size > 0 ? (const char *)request->body.data : "");
        } else {
                SET(CURLOPT_CUSTOMREQUEST, request->method);
        }
        /* On a connection that was used before, libcurl sends a request anew, by itself, when the connection
         * ends without a reply; and that may have been the upstream's way to lose one. */
        SET(CURLOPT_FRESH_CONNECT, strcmp(request->method, "GET") == 0 ? 0L : 1L);
        return 0;
}

static int append_header(struct curl_slist **list, const char *header)
{
        struct curl_slist *longer;

        if (!https_header_is_valid(slice_text(header)))
                return HTTPS_E_INVALID;
        longer = curl_slist_append(*list, header);
        if (!longer)
                return -ENOMEM;
        *list = longer;
        return 0;
}

/* The line is put together in a Secret; libcurl's own copies are in memory that is wiped. */
static int append_bearer(Https *https, struct curl_slist **list, const Secret *bearer)
{
        static const char prefix[] = "Authorization: Bearer ";
        _cleanup_(secret_freep) Secret *line = NULL;
        Slice value = secret_slice(bearer);
        int r;

        if (!https_header_is_valid(value) || memchr(value.data, ' ', value.size))
                return HTTPS_E_INVALID;
        r = secret_new(&line, https->arena, sizeof(prefix) + value.size);
        if (r)
                return r < 0 ? r : -ENOMEM;
        r = secret_append(line, slice(prefix, sizeof(prefix) - 1));
        if (r == 0)
                r = secret_append(line, value);
        if (r == 0)
                r = secret_append(line, slice("", 1));
        return r ? error_fold(r) : append_header(list, (const char *)secret_slice(line).data);
}

static int make_headers(Https *https, const HttpsRequest *request, struct curl_slist **list)
{
        int r = 0;

        for (size_t i = 0; r == 0 && request->headers && request->headers[i]; i++)
                r = append_header(list, request->headers[i]);
        if (r == 0)
                r = append_header(list, "Expect:"); /* libcurl's way to leave it out */
        if (r == 0 && request->bearer)
                r = append_bearer(https, list, request->bearer);
        return r;
}

/* ---- the request ---- */

static int outcome(CURLcode code, const Transfer *transfer, HttpsResponse *response)
{
        if (transfer->error < 0)
                return transfer->error;
        if (transfer->aborted)
                return HTTPS_E_ABORTED;
        if (code == CURLE_OK && response->head.status >= 200)
                return 0;
        response->reason = code == CURLE_OK || response->head.malformed
                                   ? "the response makes no sense"
                                   : curl_easy_strerror(code);
        if (transfer->too_large || code == CURLE_FILESIZE_EXCEEDED) {
                response->reason = "the response is larger than any that would make sense";
                return HTTPS_E_TOO_LARGE;
        }
        if (code == CURLE_OUT_OF_MEMORY && !transfer->began)
                return -ENOMEM;
        if ((code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL) && !transfer->began)
                return HTTPS_E_INVALID;
        return transfer->began ? HTTPS_E_LOST : HTTPS_E_NOT_SENT;
}

int https_perform(Https *https, const HttpsRequest *request, HttpsResponse *ret)
{
        Transfer transfer = { .https = https, .response = ret };
        struct curl_slist *headers = NULL;
        int r;

        ret->body = BUF_NULL(request->response_max);
        curl_easy_reset(https->curl); /* a handle that is used again kept its method: measured */
        r = make_headers(https, request, &headers);
        if (r == 0)
                r = set_connection(https);
        if (r == 0)
                r = set_transfer(https, request, &transfer);
        if (r == 0)
                r = set_method(https->curl, request);
        if (r == 0 && curl_easy_setopt(https->curl, CURLOPT_HTTPHEADER, headers) != CURLE_OK)
                r = -ENOTSUP;
        if (r == 0)
                r = outcome(curl_easy_perform(https->curl), &transfer, ret);
        curl_easy_reset(https->curl);
        curl_slist_free_all(headers);
        return r;
}

void https_response_deinit(HttpsResponse *response)
{
        buf_deinit(&response->body);
}
