#include "leak_notice.h"
#include "leak_json.h"
#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* What a stranger wrote is shown only if it is plain ASCII; otherwise it is left out. */
static void copy_plain(char *out, size_t size, const char *text)
{
        out[0] = '\0';
        for (const char *p = text; p && *p; p++)
                if (*p < 0x20 || *p > 0x7e)
                        return;
        if (text && strlen(text) < size)
                memcpy(out, text, strlen(text) + 1);
}

/* owner/name: people will paste it into a shell. */
static bool is_repository(const char *text)
{
        const char *slash = text ? strchr(text, '/') : NULL;

        if (!slash || slash == text || !slash[1] || strchr(slash + 1, '/') || text[0] == '-')
                return false;
        for (const char *p = text; *p; p++)
                if (!isalnum((unsigned char)*p) && !strchr("/._-", *p))
                        return false;
        return strlen(text) < sizeof(((LeakNotice *)NULL)->repository);
}

static void copy_url(char *out, size_t size, const char *text)
{
        copy_plain(out, size, text);
        if (strncmp(out, "https://", 8) != 0 || strpbrk(out, " \"'`$\\;"))
                out[0] = '\0';
}

static bool is_one_of(const char *word, const char *const *words)
{
        for (; *words; words++)
                if (strcmp(word, *words) == 0)
                        return true;
        return false;
}

bool leak_notice_github(const json_t *tree, LeakNotice *ret)
{
        static const char *const acting[] = { "created", "publicly_leaked", "reopened", NULL };
        const json_t *alert = json_object_get(tree, "alert");
        const char *action = leak_json_string(tree, "action"), *validity = leak_json_string(alert, "validity");
        const char *repository = leak_json_string(json_object_get(tree, "repository"), "full_name");

        ret->number = leak_json_number(alert, "number");
        if (!action || ret->number == 0)
                return false;
        ret->present = true;
        copy_plain(ret->action, sizeof(ret->action), action);
        copy_plain(ret->kind, sizeof(ret->kind), leak_json_string(alert, "secret_type"));
        copy_url(ret->url, sizeof(ret->url), leak_json_string(alert, "html_url"));
        if (is_repository(repository))
                copy_plain(ret->repository, sizeof(ret->repository), repository);
        /* What turns out to be dead already needs nothing. */
        ret->acts = is_one_of(action, acting) ||
                    (strcmp(action, "validated") == 0 && (!validity || strcmp(validity, "inactive") != 0));
        return true;
}

bool leak_notice_gitguardian(const json_t *tree, LeakNotice *ret)
{
        static const char *const idle[] = { "incident_resolved",   "incident_ignored",        "incident_assigned",
                                            "incident_reassigned", "incident_unassigned",     "incident_severity_changed",
                                            "incident_access_granted", "incident_access_revoked", "incident_note_created",
                                            NULL };
        const json_t *incident = json_object_get(tree, "incident");
        const char *action = leak_json_string(tree, "action"), *url = leak_json_string(incident, "gitguardian_url");

        if (!url)
                url = leak_json_string(tree, "gitguardian_link");
        if (!json_is_object(tree) || (!incident && !url))
                return false;
        ret->present = true;
        ret->number = leak_json_number(incident, "id");
        copy_plain(ret->action, sizeof(ret->action), action);
        copy_plain(ret->kind, sizeof(ret->kind), leak_json_string(json_object_get(incident, "detector"), "name"));
        copy_url(ret->url, sizeof(ret->url), url);
        /* Actions are added now and then; one that is not known may be a find. */
        ret->acts = !action || !is_one_of(action, idle);
        return true;
}
