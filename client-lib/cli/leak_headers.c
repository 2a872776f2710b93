#include "leak_headers.h"
#include <string.h>

static const struct {
        const char *name;
        size_t offset;
} wanted[] = {
        { "x-hub-signature-256", offsetof(LeakHeaders, hub_signature) },
        { "github-public-key-identifier", offsetof(LeakHeaders, partner_key) },
        { "gitlab-public-key-identifier", offsetof(LeakHeaders, partner_key) },
        { "github-public-key-signature", offsetof(LeakHeaders, partner_signature) },
        { "gitlab-public-key-signature", offsetof(LeakHeaders, partner_signature) },
        { "gitguardian-signature", offsetof(LeakHeaders, guardian_signature) },
        { "timestamp", offsetof(LeakHeaders, timestamp) },
        { "x-github-event", offsetof(LeakHeaders, event) },
};

static bool is_plain(LeakText value)
{
        for (size_t i = 0; i < value.size; i++)
                if (value.data[i] < 0x20 || value.data[i] > 0x7e)
                        return false;
        return value.size > 0 && value.size <= LEAK_HEADER_VALUE_MAX;
}

static bool keep(LeakHeaders *headers, LeakText name, LeakText value)
{
        for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
                char *at = (char *)headers + wanted[i].offset;

                if (name.size != strlen(wanted[i].name) || !leak_text_begins(name, wanted[i].name))
                        continue;
                if (*at || !is_plain(value))
                        return false;
                memcpy(at, value.data, value.size);
                at[value.size] = '\0';
        }
        return true;
}

static bool is_start_line(LeakText line)
{
        return leak_text_find(line, "HTTP/") < line.size;
}

bool leak_headers_read(LeakText text, LeakHeaders *ret)
{
        LeakText line;

        *ret = (LeakHeaders){ 0 };
        if (text.size > LEAK_HEADERS_MAX)
                return false;
        for (bool first = true; leak_text_line(&text, &line) && line.size > 0; first = false) {
                size_t colon = leak_text_find(line, ":");
                LeakText name = leak_text(line.data, colon);

                if (first && is_start_line(line))
                        continue;
                /* Also a continued line: what it belongs to would be read otherwise elsewhere. */
                if (colon == line.size || leak_text_trim(name).size != name.size || name.size == 0)
                        return false;
                if (!keep(ret, name, leak_text_trim(leak_text_skip(line, colon + 1))))
                        return false;
        }
        return true;
}
