#include "wire/varlink.h"
#include "base/clock.h"
#include "base/text.h"
#include "wire/field.h"
#include <jansson.h>

#define SERVICE "org.varlink.service"

static int refuse(SchemaError *error, const char *field, const char *reason)
{
        *error = (SchemaError){ .reason = reason };
        memcpy(error->field, field, MIN(strlen(field), sizeof(error->field) - 1));
        return SCHEMA_E_INVALID;
}

/* An absent boolean is false. */
static bool take_bool(json_t *value, bool *ret)
{
        if (value && !json_is_boolean(value) && !json_is_null(value))
                return false;
        *ret = json_is_true(value);
        return true;
}

static bool is_object_or_absent(const json_t *value)
{
        return !value || json_is_null(value) || json_is_object(value);
}

static const json_t *parameters_of(const json_t *tree)
{
        const json_t *parameters = json_object_get(tree, "parameters");

        return json_is_object(parameters) ? parameters : NULL;
}

/* ---- calls ---- */

static bool is_call_member(const char *name)
{
        return strcmp(name, "method") == 0 || strcmp(name, "parameters") == 0 || strcmp(name, "more") == 0 ||
               strcmp(name, "oneway") == 0;
}

static int check_call(VarlinkCall *call, SchemaError *error)
{
        const json_t *method = json_object_get(call->tree, "method");
        const char *key;
        json_t *value;

        json_object_foreach(call->tree, key, value)
        {
                if (!is_call_member(key))
                        return refuse(error, "", "has a member that varlink calls do not have");
        }
        if (!json_is_string(method))
                return refuse(error, "method", method ? "is not a string" : "is missing");
        if (!is_object_or_absent(json_object_get(call->tree, "parameters")))
                return refuse(error, "parameters", "is not an object");
        if (!take_bool(json_object_get(call->tree, "more"), &call->more))
                return refuse(error, "more", "is not a boolean");
        if (!take_bool(json_object_get(call->tree, "oneway"), &call->oneway))
                return refuse(error, "oneway", "is not a boolean");
        if (call->more && call->oneway)
                return refuse(error, "oneway", "excludes more");
        call->method = json_string_value(method);
        return 0;
}

int varlink_call_parse(VarlinkCall *ret, Slice message, SchemaError *error)
{
        VarlinkCall call = { 0 };
        int r = json_parse(&call.tree, message, JSON_REQUEST_MAX, error);

        if (r == 0)
                r = check_call(&call, error);
        if (r)
                varlink_call_clear(&call);
        else
                *ret = call;
        return r;
}

void varlink_call_clear(VarlinkCall *call)
{
        json_release(&call->tree);
        *call = (VarlinkCall){ 0 };
}

int varlink_call_read(const VarlinkCall *call, const Schema *schema, Arena *arena, Pool *pool,
                      void *body, SchemaError *error)
{
        return json_read_tree(schema, parameters_of(call->tree), 0, arena, pool, body, error);
}

bool varlink_method_of(const char *name, const char *interface, const char **ret_method)
{
        const char *dot = strrchr(name, '.');

        if (!dot || !slice_is_text(slice(name, (size_t)(dot - name)), interface))
                return false;
        *ret_method = dot + 1;
        return true;
}

int varlink_call_write(Buf *out, const char *interface, const Method *method, const void *body, bool more,
                       bool oneway)
{
        int r = buf_printf(out, "{\"method\":\"%s.%s\",\"parameters\":", interface, method->name);

        if (r == 0)
                r = json_write(method->request, body, out);
        if (r == 0 && more)
                r = buf_append_text(out, ",\"more\":true");
        if (r == 0 && oneway)
                r = buf_append_text(out, ",\"oneway\":true");
        return r < 0 ? r : buf_append(out, "}", 2); /* with the NUL */
}

/* ---- replies ---- */

/* How org.varlink.service calls it, and the name of the parameter that it wants there. */
static const char *standard_name(uint64_t fault, const char **ret_parameter)
{
        switch (fault) {
        case FAULT_INVALID_PARAMETER:
                *ret_parameter = "parameter";
                return "InvalidParameter";
        case FAULT_METHOD_NOT_FOUND:
                *ret_parameter = "method";
                return "MethodNotFound";
        case FAULT_INTERFACE_NOT_FOUND:
                *ret_parameter = "interface";
                return "InterfaceNotFound";
        default:
                return NULL;
        }
}

static Fault fault_of(const char *error)
{
        const char *name = strrchr(error, '.');

        if (strcmp(error, SERVICE ".MethodNotImplemented") == 0)
                return FAULT_UNSUPPORTED;
        return name ? fault_by_name(name + 1) : FAULT_INTERNAL;
}

static const char *text_or_null(const json_t *object, const char *name)
{
        return json_string_value(json_object_get(object, name)); /* accept NULL and other types */
}

static void take_details(VarlinkReply *reply)
{
        const json_t *parameters = parameters_of(reply->tree);
        json_int_t seconds = json_integer_value(json_object_get(parameters, "retry_after"));
        const char *field = "field";

        reply->fault = fault_of(reply->error);
        if (reply->fault == FAULT_NONE)
                reply->fault = FAULT_INTERNAL;
        reply->details.fault = reply->fault;
        reply->details.message = text_or_null(parameters, "message");
        reply->details.remedy = text_or_null(parameters, "remedy");
        (void)standard_name(reply->fault, &field);
        reply->details.field = text_or_null(parameters, field);
        if (seconds > 0 && (uint64_t)seconds < JSON_INTEGER_MAX / USEC_PER_SEC)
                reply->details.retry_after_usec = (uint64_t)seconds * USEC_PER_SEC;
}

static int check_reply(VarlinkReply *reply, SchemaError *error)
{
        const json_t *name = json_object_get(reply->tree, "error");

        if (!is_object_or_absent(json_object_get(reply->tree, "parameters")))
                return refuse(error, "parameters", "is not an object");
        if (!take_bool(json_object_get(reply->tree, "continues"), &reply->continues))
                return refuse(error, "continues", "is not a boolean");
        if (name && !json_is_string(name) && !json_is_null(name))
                return refuse(error, "error", "is not a string");
        reply->error = json_string_value(name);
        if (reply->error)
                take_details(reply);
        return 0;
}

int varlink_reply_parse(VarlinkReply *ret, Slice message, SchemaError *error)
{
        VarlinkReply reply = { 0 };
        int r = json_parse(&reply.tree, message, JSON_REPLY_MAX, error);

        if (r == 0)
                r = check_reply(&reply, error);
        if (r)
                varlink_reply_clear(&reply);
        else
                *ret = reply;
        return r;
}

void varlink_reply_clear(VarlinkReply *reply)
{
        json_release(&reply->tree);
        *reply = (VarlinkReply){ 0 };
}

int varlink_reply_read(const VarlinkReply *reply, const Schema *schema, Arena *arena, Pool *pool,
                       void *body, SchemaError *error)
{
        return json_read_tree(schema, parameters_of(reply->tree), JSON_LENIENT, arena, pool, body, error);
}

int varlink_reply_write(Buf *out, const Schema *schema, const void *body, bool continues)
{
        int r = buf_append_text(out, "{\"parameters\":");

        if (r == 0)
                r = json_write(schema, body, out);
        if (r == 0 && continues)
                r = buf_append_text(out, ",\"continues\":true");
        return r < 0 ? r : buf_append(out, "}", 2);
}

int varlink_join_add(VarlinkJoin *join, const Schema *schema, const void *body)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < VARLINK_JOIN_MAX; i++) {
                join->lists[i].max = JSON_REPLY_MAX;
                r = json_write_items(schema, body, i, &join->lists[i]);
        }
        return r;
}

int varlink_join_write(const VarlinkJoin *join, Buf *out, const Schema *schema, const void *body)
{
        int r = buf_append_text(out, "{\"parameters\":");

        if (r == 0)
                r = json_write_joined(schema, body, join->lists, VARLINK_JOIN_MAX, out);
        return r < 0 ? r : buf_append(out, "}", 2);
}

void varlink_join_deinit(VarlinkJoin *join)
{
        for (size_t i = 0; i < VARLINK_JOIN_MAX; i++)
                buf_deinit(&join->lists[i]);
}

static int write_member(Buf *out, const char *lead, const char *text)
{
        int r = buf_append_text(out, lead);

        /* A broken text loses itself, never the error that it belongs to. */
        return r < 0 ? r : json_write_string(text_is_utf8(slice_text(text)) ? slice_text(text) : SLICE_NULL, out);
}

int varlink_error_write(Buf *out, const char *interface, const FaultBody *fault)
{
        const FaultInfo *info = fault_info((Fault)fault->fault);
        const char *parameter = NULL, *standard = standard_name(fault->fault, &parameter);
        const char *remedy = fault->remedy ? fault->remedy : info->remedy;
        uint64_t seconds = fault->retry_after_usec / USEC_PER_SEC + (fault->retry_after_usec % USEC_PER_SEC > 0);
        int r;

        r = buf_printf(out, "{\"error\":\"%s.%s\",\"parameters\":{", standard ? SERVICE : interface,
                       standard ? standard : info->name);
        if (r == 0 && standard) {
                r = buf_printf(out, "\"%s\":", parameter);
                if (r == 0)
                        r = write_member(out, "", fault->field ? fault->field : "");
                if (r == 0)
                        r = buf_append_u8(out, ',');
        }
        if (r == 0)
                r = write_member(out, "\"message\":", fault->message ? fault->message : info->sentence);
        if (r == 0)
                r = write_member(out, ",\"remedy\":", remedy);
        if (r == 0 && fault->field && !standard)
                r = write_member(out, ",\"field\":", fault->field);
        if (r == 0 && seconds > 0)
                r = buf_printf(out, ",\"retry_after\":%llu", (unsigned long long)seconds);
        return r < 0 ? r : buf_append(out, "}}", 3);
}

/* ---- org.varlink.service ---- */

static const Field info_fields[] = {
        F(VarlinkInfo, vendor, TEXT, 0, LIMIT_TEXT, 0),
        F(VarlinkInfo, product, TEXT, 0, LIMIT_TEXT, 0),
        F(VarlinkInfo, version, TEXT, 0, LIMIT_TEXT, 0),
        F(VarlinkInfo, url, TEXT, 0, LIMIT_URL, 0),
        F(VarlinkInfo, interfaces, TEXTS, 0, 8, 255),
};
static SCHEMA(info, "Info", VarlinkInfo);

static const Field description_request_fields[] = {
        F(VarlinkDescriptionRequest, interface, TEXT, 0, 255, 0),
};
static SCHEMA(description_request, "DescriptionRequest", VarlinkDescriptionRequest);

static const Field description_fields[] = {
        F(VarlinkDescription, description, TEXT, 0, VARLINK_DESCRIPTION_MAX, 0),
};
static SCHEMA(description, "Description", VarlinkDescription);

static const Method interface_varlink_service_methods[] = {
        [VARLINK_GET_INFO] = { "GetInfo", &schema_empty, &info, 0, 0, false },
        [VARLINK_GET_INTERFACE_DESCRIPTION] = { "GetInterfaceDescription", &description_request, &description,
                                                0, 0, false },
};
INTERFACE(interface_varlink_service, SERVICE);
