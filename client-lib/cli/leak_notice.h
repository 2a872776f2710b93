#pragma once
/* Webhooks that say that something was found, and not what. */
#include "leak_report.h"

struct json_t; /* jansson.h */

/* False: the tree lacks what such a webhook has. */
bool leak_notice_github(const struct json_t *tree, LeakNotice *ret);
bool leak_notice_gitguardian(const struct json_t *tree, LeakNotice *ret);
