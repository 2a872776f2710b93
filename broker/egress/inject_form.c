#include "egress/inject_form.h"
#include "egress/percent.h"
#include "http/chars.h"

enum {
        IN_NAME,  /* what has come of it agrees */
        IN_OTHER, /* a field of another name, or of none */
        IN_FIRST, /* behind the name's "=": the marker may come */
        IN_VALUE, /* of the field, without the marker */
        IN_AFTER, /* behind the marker: the field must end */
};

/* IN_NAME: inside of a percent-encoding. `escape` is then the number of its first digit, behind these. */
#define ESCAPE_BEGUN 0x80U
#define ESCAPE_DIGIT 0x40U

void inject_form_init(InjectForm *form, const char *name, const Secret *credential)
{
        *form = (InjectForm){ .name = name, .credential = credential, .state = IN_NAME };
}

uint64_t inject_form_length(const Secret *credential, uint64_t length)
{
        uint64_t more = credential ? percent_size(secret_slice(credential)) : 1;

        return length > 0 ? length - 1 + more : more;
}

static void form_name_character(InjectForm *form, char c)
{
        if (form->name[form->matched] && form->name[form->matched] == c)
                form->matched++;
        else
                form->state = IN_OTHER;
}

static void form_name_byte(InjectForm *form, char c)
{
        int value = http_hex((uint8_t)c);

        if (form->escape & (ESCAPE_BEGUN | ESCAPE_DIGIT)) {
                if (value < 0) {
                        form->state = IN_OTHER;
                } else if (form->escape & ESCAPE_BEGUN) {
                        form->escape = (uint8_t)(ESCAPE_DIGIT | value);
                } else {
                        value += (form->escape & 15) * 16;
                        form->escape = 0;
                        form_name_character(form, (char)value);
                }
        } else if (c == '%') {
                form->escape = ESCAPE_BEGUN;
        } else {
                form_name_character(form, c == '+' ? ' ' : c);
        }
}

/* A byte that is passed on as it is. */
static int form_byte(InjectForm *form, char c)
{
        if (c == '&') {
                form->state = IN_NAME;
                form->matched = 0;
                form->escape = 0;
        } else if (form->state == IN_AFTER) {
                return INJECT_E_PLACE;
        } else if (form->state == IN_FIRST) {
                form->state = IN_VALUE;
        } else if (form->state == IN_NAME && c == '=') {
                form->state = !form->escape && !form->name[form->matched] ? IN_FIRST : IN_VALUE;
        } else if (form->state == IN_NAME) {
                form_name_byte(form, c);
        }
        return 0;
}

static int form_marker(InjectForm *form, Buf *out)
{
        if (form->state != IN_FIRST || form->used)
                return INJECT_E_PLACE;
        if (!form->credential || inject_check_credential(SLOT_FORM, secret_slice(form->credential)))
                return INJECT_E_CREDENTIAL;
        form->state = IN_AFTER;
        form->used = true;
        return percent_append_text(out, secret_slice(form->credential));
}

/* How many bytes can be passed on without a look: inside of a value nothing but "&" and the marker counts. */
static size_t form_plain(const InjectForm *form, Slice bytes)
{
        size_t n = 0;

        if (form->state == IN_VALUE || form->state == IN_OTHER)
                while (n < bytes.size && bytes.data[n] != '&' && bytes.data[n] != SLOT_MARKER)
                        n++;
        return n;
}

int inject_form_feed(InjectForm *form, Slice bytes, Buf *out)
{
        int r = form->failed ? INJECT_E_PLACE : 0;

        while (r == 0 && bytes.size > 0) {
                size_t n = form_plain(form, bytes);

                if (n > 0) {
                        r = buf_append(out, bytes.data, n);
                } else {
                        n = 1;
                        if (bytes.data[0] == SLOT_MARKER)
                                r = form_marker(form, out);
                        else
                                r = form_byte(form, (char)bytes.data[0]);
                        if (r == 0 && bytes.data[0] != SLOT_MARKER)
                                r = buf_append_u8(out, bytes.data[0]);
                }
                bytes = slice(bytes.data + n, bytes.size - n);
        }
        form->failed = form->failed || r;
        return r;
}
