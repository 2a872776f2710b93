#pragma once
/* The headers that a webhook came with, as a relay got them: what says who sent it. */
#include "leak_text.h"

#define LEAK_HEADERS_MAX      (64U * 1024U)
#define LEAK_HEADER_VALUE_MAX 511U

typedef struct LeakHeaders {
        char hub_signature[LEAK_HEADER_VALUE_MAX + 1];     /* X-Hub-Signature-256 */
        char partner_key[LEAK_HEADER_VALUE_MAX + 1];       /* Github- or Gitlab-Public-Key-Identifier */
        char partner_signature[LEAK_HEADER_VALUE_MAX + 1]; /* Github- or Gitlab-Public-Key-Signature */
        char guardian_signature[LEAK_HEADER_VALUE_MAX + 1]; /* Gitguardian-Signature */
        char timestamp[LEAK_HEADER_VALUE_MAX + 1];
        char event[LEAK_HEADER_VALUE_MAX + 1]; /* X-GitHub-Event */
} LeakHeaders;

/* Names count in any case; the request line in front, and what is behind an empty line, do not. "" is what is not
 * there. False: it is not headers, or one of these is there twice, is too long or not printable ASCII. */
bool leak_headers_read(LeakText text, LeakHeaders *ret);
