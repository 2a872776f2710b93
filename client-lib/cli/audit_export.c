/*
 * `mcpcred audit export`: the log's lines as they are, or as events of the Open Cybersecurity Schema Framework
 * (OCSF 1.3), one JSON object a line. One line is in memory at a time.
 */
#include "audit_cli.h"
#include "output.h"
#include <string.h>

#define OCSF_VERSION "1.3.0"

/* Classes of OCSF; the category is the thousands' digit. */
enum {
        CLASS_DETECTION = 2004,
        CLASS_AUTHENTICATION = 3002,
        CLASS_AUTHORIZE = 3003,
        CLASS_ENTITY = 3004,
        CLASS_ACCESS = 3005,
        CLASS_API = 6003,
};
#define ACTIVITY_OTHER 99U

enum { SEVERITY_INFORMATIONAL = 1, SEVERITY_LOW = 2, SEVERITY_MEDIUM = 3, SEVERITY_HIGH = 4 };

typedef struct Mapping {
        const char *operation; /* one that ends with "." is all of a kind */
        const char *reason;    /* with this one alone; NULL: with any */
        unsigned class, activity;
        const char *activity_name;
        bool if_done; /* with the verdict "allow" alone */
} Mapping;

/* The first that fits; docs/protocol.md has the table for people. */
static const Mapping mappings[] = {
        { "session.open", NULL, CLASS_AUTHENTICATION, 1, "Logon" },
        { "session.close", NULL, CLASS_AUTHENTICATION, 2, "Logoff" },
        { "session.end", NULL, CLASS_AUTHENTICATION, 2, "Logoff" },
        { "session.", NULL, CLASS_AUTHORIZE, 1, "Assign Privileges" },
        { "token.", NULL, CLASS_ACCESS, 1, "Assign Privileges" },
        { "handle.issue", NULL, CLASS_ACCESS, 1, "Assign Privileges" },
        { "lease.", NULL, CLASS_ACCESS, 2, "Revoke Privileges" },
        { "state.end-all", NULL, CLASS_ACCESS, 2, "Revoke Privileges" },
        { "secret.add", NULL, CLASS_ENTITY, 1, "Create" },
        { "secret.replace", NULL, CLASS_ENTITY, 3, "Update" },
        { "secret.rotate", NULL, CLASS_ENTITY, 3, "Update" },
        { "secret.rotate.", NULL, CLASS_ENTITY, 3, "Update" },
        { "secret.remove", NULL, CLASS_ENTITY, 4, "Delete" },
        { "secret.", NULL, CLASS_ENTITY, 2, "Read" },
        { "scan.patterns", NULL, CLASS_ENTITY, 2, "Read" },
        { "leak.report", NULL, CLASS_DETECTION, 1, "Create", true },
        { "leak.report", NULL, CLASS_API, ACTIVITY_OTHER, "Other" },
        { "leak.incident", NULL, CLASS_DETECTION, 1, "Create" },
        { "leak.close", NULL, CLASS_DETECTION, 3, "Close", true },
        { "leak.close", NULL, CLASS_API, ACTIVITY_OTHER, "Other" },
        { "leak.", NULL, CLASS_DETECTION, 2, "Update" }, /* what is done about it */
        { "proxy.request", "misuse", CLASS_DETECTION, 1, "Create" },
        { "proxy.request", "leaked", CLASS_DETECTION, 1, "Create" },
        { "proxy.request", "guessed", CLASS_DETECTION, 1, "Create" },
        { "audit.delete", NULL, CLASS_API, 4, "Delete" },
};
typedef struct Status {
        unsigned id;
        const char *name;
} Status;

static const Mapping other = { "", NULL, CLASS_API, ACTIVITY_OTHER, "Other" };

static const Mapping *find_mapping(const char *operation, const char *reason, bool allowed)
{
        for (size_t i = 0; i < ARRAY_SIZE(mappings); i++) {
                const Mapping *mapping = &mappings[i];
                size_t n = strlen(mapping->operation);
                bool fits = mapping->operation[n - 1] == '.' ? strncmp(operation, mapping->operation, n) == 0
                                                             : strcmp(operation, mapping->operation) == 0;

                if (fits && (!mapping->reason || strcmp(reason, mapping->reason) == 0) && (allowed || !mapping->if_done))
                        return mapping;
        }
        return &other;
}

static const char *class_name(unsigned class)
{
        switch (class) {
        case CLASS_DETECTION:
                return "Detection Finding";
        case CLASS_AUTHENTICATION:
                return "Authentication";
        case CLASS_AUTHORIZE:
                return "Authorize Session";
        case CLASS_ENTITY:
                return "Entity Management";
        case CLASS_ACCESS:
                return "User Access Management";
        default:
                return "API Activity";
        }
}

static const char *category_name(unsigned class)
{
        return class / 1000 == 2 ? "Findings" : class / 1000 == 3 ? "Identity & Access Management" : "Application Activity";
}

static const char *text_of(const mcpcred_row *row, const char *name)
{
        const char *text = mcpcred_row_text(row, name);

        return text ? text : "";
}

static void add_severity(Json *json, const Mapping *mapping, const char *verdict)
{
        static const char *const names[] = { "Unknown", "Informational", "Low", "Medium", "High" };
        unsigned severity = mapping->class == CLASS_DETECTION   ? SEVERITY_HIGH
                            : strcmp(verdict, "deny") == 0      ? SEVERITY_MEDIUM
                            : strcmp(verdict, "allow") == 0     ? SEVERITY_INFORMATIONAL
                                                                : SEVERITY_LOW;

        json_number(json, "severity_id", severity);
        json_text(json, "severity", names[severity]);
}

/* Of a finding: how far one has come with it. Of all else: whether it was done. */
static void add_status(Json *json, const Mapping *mapping, bool allowed)
{
        static const Status finding[] = { { 0, NULL }, { 1, "New" }, { 2, "In Progress" }, { 4, "Resolved" } };
        const Status status = mapping->class == CLASS_DETECTION ? finding[mapping->activity]
                              : allowed                         ? (Status){ 1, "Success" }
                                                                : (Status){ 2, "Failure" };

        json_number(json, "status_id", status.id);
        json_text(json, "status", status.name);
}

static void add_metadata(Json *json, const mcpcred_row *row)
{
        char sequence[24];

        (void)snprintf(sequence, sizeof(sequence), "%llu", (unsigned long long)mcpcred_row_number(row, "sequence"));
        json_open_object(json, "metadata");
        json_text(json, "version", OCSF_VERSION);
        json_text(json, "uid", sequence);
        json_number(json, "sequence", mcpcred_row_number(row, "sequence"));
        json_text(json, "log_name", "audit");
        if (mcpcred_row_text(row, "request"))
                json_text(json, "correlation_uid", mcpcred_row_text(row, "request"));
        json_open_object(json, "product");
        json_text(json, "name", "mcpcred");
        json_text(json, "vendor_name", "mcpcred");
        json_text(json, "version", MCPCRED_VERSION);
        json_close_object(json);
        json_close_object(json);
}

/* Who acted: a user of the machine, or the broker itself. */
static void add_user(Json *json, const char *key, const mcpcred_row *row)
{
        const char *principal = mcpcred_row_text(row, "principal");

        json_open_object(json, key);
        json_text(json, "uid", principal ? principal : "mcpcredd");
        json_text(json, "type", principal ? "User" : "System");
        json_number(json, "type_id", principal ? 1 : 3);
        json_close_object(json);
}

static void add_actor(Json *json, const mcpcred_row *row)
{
        json_open_object(json, "actor");
        add_user(json, "user", row);
        if (mcpcred_row_text(row, "session")) {
                json_open_object(json, "session");
                json_text(json, "uid", mcpcred_row_text(row, "session"));
                json_close_object(json);
        }
        json_close_object(json);
}

/* What is required is never left empty. */
static const char *first_of(const mcpcred_row *row, const char *name, const char *second, const char *otherwise)
{
        if (*text_of(row, name))
                return text_of(row, name);
        return *text_of(row, second) ? text_of(row, second) : otherwise;
}

/* What each class asks for beside what all have. */
static void add_class(Json *json, const Mapping *mapping, const mcpcred_row *row)
{
        char sequence[24];

        switch (mapping->class) {
        case CLASS_AUTHENTICATION:
        case CLASS_AUTHORIZE:
                add_user(json, "user", row);
                break;
        case CLASS_ACCESS:
                add_user(json, "user", row);
                json_open_array(json, "privileges");
                json_text(json, NULL, first_of(row, "profile", "secret", "all"));
                json_close_array(json);
                break;
        case CLASS_ENTITY:
                json_open_object(json, "entity");
                json_text(json, "name", first_of(row, "secret", "secret", "all secrets"));
                json_text(json, "type", "Secret");
                json_close_object(json);
                break;
        case CLASS_DETECTION:
                json_open_object(json, "finding_info");
                (void)snprintf(sequence, sizeof(sequence), "%llu", (unsigned long long)mcpcred_row_number(row, "sequence"));
                json_text(json, "uid", first_of(row, "request", "token", sequence));
                json_text(json, "title", text_of(row, "operation"));
                json_text(json, "desc", first_of(row, "detail", "reason", text_of(row, "operation")));
                json_close_object(json);
                break;
        default:
                json_open_object(json, "api");
                json_text(json, "operation", text_of(row, "operation"));
                json_close_object(json);
                json_open_object(json, "src_endpoint");
                json_text(json, "name", first_of(row, "session", "session", "local"));
                json_close_object(json);
        }
}

/* All that the log says, under the names that it has there. */
static void add_unmapped(Json *json, const mcpcred_row *row)
{
        static const char *const names[] = { "request", "session", "profile", "secret", "lease",
                                             "operation", "verdict", "reason", "token", "detail" };

        json_open_object(json, "unmapped");
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (mcpcred_row_text(row, names[i]))
                        json_text(json, names[i], mcpcred_row_text(row, names[i]));
        json_close_object(json);
}

static bool print_ocsf(const mcpcred_row *row)
{
        const char *operation = text_of(row, "operation"), *verdict = text_of(row, "verdict");
        bool allowed = strcmp(verdict, "allow") == 0;
        const Mapping *mapping = find_mapping(operation, text_of(row, "reason"), allowed);
        char message[256], type[64];
        Json json;

        (void)snprintf(message, sizeof(message), "%.64s: %.16s%s%.128s", operation, verdict,
                       *text_of(row, "reason") ? ", " : "", text_of(row, "reason"));
        (void)snprintf(type, sizeof(type), "%s: %s", class_name(mapping->class), mapping->activity_name);
        json_begin_bare(&json);
        json_number(&json, "activity_id", mapping->activity);
        json_text(&json, "activity_name", mapping->activity_name);
        json_number(&json, "category_uid", mapping->class / 1000);
        json_text(&json, "category_name", category_name(mapping->class));
        json_number(&json, "class_uid", mapping->class);
        json_text(&json, "class_name", class_name(mapping->class));
        json_number(&json, "type_uid", (uint64_t)mapping->class * 100 + mapping->activity);
        json_text(&json, "type_name", type);
        json_number(&json, "time", mcpcred_row_time(row, "time") / 1000);
        add_severity(&json, mapping, verdict);
        add_status(&json, mapping, allowed);
        if (*text_of(row, "reason"))
                json_text(&json, "status_detail", text_of(row, "reason"));
        json_text(&json, "message", message);
        add_metadata(&json, row);
        add_actor(&json, row);
        add_class(&json, mapping, row);
        add_unmapped(&json, row);
        return json_end(&json, stdout);
}

typedef struct Exporting {
        const EventFilter *filter;
        bool ocsf;
} Exporting;

static int export_line(const char *text, const mcpcred_row *row, void *userdata)
{
        const Exporting *exporting = userdata;

        if (!event_is_wanted(exporting->filter, row))
                return 0;
        return exporting->ocsf ? !print_ocsf(row) : puts(text) < 0;
}

int audit_run_export(Cli *cli, const AuditOptions *asked)
{
        EventFilter filter;
        Exporting exporting = { .filter = &filter };
        AuditPlace place;
        uint64_t since;
        int code, r;

        if (!asked->format || (strcmp(asked->format, "json") != 0 && strcmp(asked->format, "ocsf") != 0))
                return cli_usage(cli, &verb_audit, "export needs --format json or --format ocsf");
        exporting.ocsf = strcmp(asked->format, "ocsf") == 0;
        r = audit_wanted(cli, asked, &filter, &since);
        if (r == 0)
                r = audit_place(cli, asked, &place);
        if (r)
                return r;
        code = mcpcred_audit_read(cli->client, place.path, since, export_line, &exporting, NULL);
        if (fflush(stdout) != 0 || ferror(stdout))
                return EXIT_FAILED;
        return code ? cli_fail(cli) : 0;
}
