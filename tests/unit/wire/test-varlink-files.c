/* The *.varlink texts, which clients read, against the tables that the broker reads by. */
#undef NDEBUG
#include "wire/msg_broker.h"
#include "wire/msg_session.h"
#include "wire/varlink.h"
#include <check.h>

typedef struct Text {
        const char *at;
        char word[256]; /* the last token */
} Text;

/* A name, or one of the marks of the language; "" at the end. Comments are skipped. */
static const char *next(Text *text)
{
        size_t n = 0;

        for (;;) {
                text->at += strspn(text->at, " \t\n");
                if (*text->at != '#')
                        break;
                text->at += strcspn(text->at, "\n");
        }
        if (strncmp(text->at, "->", 2) == 0)
                n = 2;
        else if (strncmp(text->at, "[]", 2) == 0)
                n = 2;
        else if (strncmp(text->at, "[string]", 8) == 0)
                n = 8;
        else if (*text->at && strchr("(),:?", *text->at))
                n = 1;
        else
                n = strcspn(text->at, " \t\n(),:?[]#");
        ck_assert_uint_lt(n, sizeof(text->word));
        memcpy(text->word, text->at, n);
        text->word[n] = '\0';
        text->at += n;
        return text->word;
}

static void expect(Text *text, const char *word)
{
        ck_assert_str_eq(next(text), word);
}

/* Where `keyword name` is declared, behind the name. */
static Text find(const char *source, const char *keyword, const char *name)
{
        Text text = { .at = source };

        while (next(&text)[0]) {
                if (strcmp(text.word, keyword) != 0)
                        continue;
                if (strcmp(next(&text), name) == 0)
                        return text;
        }
        ck_abort_msg("no %s %s", keyword, name);
        return text;
}

/* Declarations begin their line. */
static unsigned count(const char *source, const char *keyword)
{
        unsigned n = 0;

        for (const char *at = source; at; at = strchr(at, '\n')) {
                at += *at == '\n';
                n += strncmp(at, keyword, strlen(keyword)) == 0 && at[strlen(keyword)] == ' ';
        }
        return n;
}

static void check_fields(const char *source, Text *text, const Schema *schema);

static void check_enum(const char *source, const char *name, const char *const *names)
{
        Text text = find(source, "type", name);

        for (size_t i = 0; names[i]; i++) {
                expect(&text, i == 0 ? "(" : ",");
                expect(&text, names[i]);
        }
        expect(&text, ")");
}

static void check_record(const char *source, const char *name, const Schema *schema)
{
        Text text = find(source, "type", name);

        ck_assert_str_eq(name, schema->name);
        check_fields(source, &text, schema);
}

static void check_type(const char *source, Text *text, const Field *field)
{
        char name[sizeof(text->word)];

        if (field->flags & FIELD_OPTIONAL)
                expect(text, "?");
        if (field->kind == FIELD_TEXTS || field->kind == FIELD_RECORDS)
                expect(text, "[]");
        if (field->kind == FIELD_MAP)
                expect(text, "[string]");
        memcpy(name, next(text), sizeof(name));
        switch (field->kind) {
        case FIELD_BOOL:
                ck_assert_str_eq(name, "bool");
                break;
        case FIELD_U64:
                ck_assert_str_eq(name, "int");
                break;
        case FIELD_TIME:
        case FIELD_TEXT:
        case FIELD_SECRET:
        case FIELD_TEXTS:
        case FIELD_MAP:
                ck_assert_str_eq(name, "string");
                break;
        case FIELD_ENUM:
                check_enum(source, name, field->names);
                break;
        case FIELD_RECORD:
        case FIELD_RECORDS:
                check_record(source, name, field->record);
                break;
        case FIELD_BYTES:
                ck_abort_msg("%s has no JSON form", field->name);
        }
}

static void check_fields(const char *source, Text *text, const Schema *schema)
{
        const char *separator = "(";

        for (size_t i = 0; i < schema->n_fields; i++) {
                const Field *field = &schema->fields[i];

                if (field->flags & FIELD_PRIVATE)
                        continue;
                expect(text, separator);
                expect(text, field->name);
                expect(text, ":");
                check_type(source, text, field);
                separator = ",";
        }
        if (separator[0] == '(')
                expect(text, "(");
        expect(text, ")");
}

static void check_interface(const char *source, const Interface *interface)
{
        Text text = { .at = source };

        expect(&text, "interface");
        expect(&text, interface->name);
        ck_assert_uint_eq(count(source, "method"), interface->n_methods);
        for (size_t i = 0; i < interface->n_methods; i++) {
                const Method *method = &interface->methods[i];

                text = find(source, "method", method->name);
                check_fields(source, &text, method->request);
                expect(&text, "->");
                check_fields(source, &text, method->reply);
        }
        ck_assert_uint_le(strlen(source), VARLINK_DESCRIPTION_MAX);
}

static bool is_standard(unsigned fault)
{
        return fault == FAULT_INVALID_PARAMETER || fault == FAULT_METHOD_NOT_FOUND || fault == FAULT_INTERFACE_NOT_FOUND;
}

/* Each fault is declared, with what varlink_error_write() says of it. */
static void check_errors(const char *source)
{
        static const char *const members[] = { "(", "message", ":", "string", ",", "remedy", ":", "string", ",", "field",
                                               ":", "?", "string", ",", "retry_after", ":", "?", "int", ")" };
        unsigned n = 0;

        for (unsigned fault = FAULT_NONE + 1; fault < _FAULT_N; fault++) {
                Text text;

                if (is_standard(fault))
                        continue;
                text = find(source, "error", fault_info((Fault)fault)->name);
                for (size_t i = 0; i < ARRAY_SIZE(members); i++)
                        expect(&text, members[i]);
                n++;
        }
        ck_assert_uint_eq(count(source, "error"), n);
}

START_TEST(test_broker)
{
        check_interface(varlink_text_broker, &interface_broker);
        check_errors(varlink_text_broker);
}
END_TEST

START_TEST(test_session)
{
        check_interface(varlink_text_session, &interface_session);
        check_errors(varlink_text_session);
}
END_TEST

START_TEST(test_service)
{
        check_interface(varlink_text_service, &interface_varlink_service);
        ck_assert_uint_eq(count(varlink_text_service, "error"), 4);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("varlink-files");
        TCase *tcase = tcase_create("varlink-files");
        SRunner *r;
        int failed;

        tcase_add_test(tcase, test_broker);
        tcase_add_test(tcase, test_session);
        tcase_add_test(tcase, test_service);
        suite_add_tcase(suite, tcase);
        r = srunner_create(suite);
        srunner_set_tap(r, "-");
        srunner_run_all(r, CK_SILENT);
        failed = srunner_ntests_failed(r);
        srunner_free(r);
        return failed ? 1 : 0;
}
