#include "supervisor/host_roots.h"
#include "base/fd.h"
#include <fcntl.h>

static const char *const bundles[] = {
        "/etc/ssl/certs/ca-certificates.crt", /* Debian, Arch, Alpine */
        "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora */
        "/etc/ssl/ca-bundle.pem",             /* openSUSE */
};

static int append_file(Buf *roots, const char *path)
{
        _cleanup_(freep) char *text = NULL;
        int r = fd_read_file_at(AT_FDCWD, path, HOST_ROOTS_MAX, &text);

        if (r == 0)
                r = buf_append_text(roots, "\n");
        return r == 0 ? buf_append_text(roots, text) : r;
}

int host_roots_append(Buf *roots, const char *extra)
{
        int r = -ENOENT;

        for (size_t i = 0; r == -ENOENT && i < ARRAY_SIZE(bundles); i++)
                r = append_file(roots, bundles[i]);
        if ((r == 0 || r == -ENOENT) && extra)
                r = append_file(roots, extra);
        return r == -ENOENT ? 0 : r;
}
