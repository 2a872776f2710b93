#include "output.h"
#include "cli.h"
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define USEC UINT64_C(1000000)

/* ---- JSON ---- */

/* Bytes of the character at `text`; 0: it is not UTF-8. Overlong forms and surrogates are none. */
static size_t character(const char *text)
{
        const unsigned char *b = (const unsigned char *)text;
        size_t n = b[0] < 0x80   ? 1
                   : b[0] < 0xc2 ? 0
                   : b[0] < 0xe0 ? 2
                   : b[0] < 0xf0 ? 3
                   : b[0] < 0xf5 ? 4
                                 : 0;

        for (size_t i = 1; i < n; i++)
                if ((b[i] & 0xc0) != 0x80)
                        return 0;
        if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f) ||
            (b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f))
                return 0;
        return n;
}

static uint32_t code_point(const char *text, size_t n)
{
        static const uint8_t masks[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
        uint32_t c = (uint8_t)text[0] & masks[n];

        for (size_t i = 1; i < n; i++)
                c = c << 6 | ((uint8_t)text[i] & 0x3f);
        return c;
}

/* What a terminal acts on, C0, DEL and C1; and what makes one text look like another: line ends, directions and blanks that
 * are not seen, as text_is_control() has them. All of it has at most four digits. */
static bool is_control(uint32_t c)
{
        return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || c == 0x180e || c == 0x200b ||
               c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x2069) || c == 0xfeff;
}

/* An argument that is not UTF-8 may be quoted in an error. */
static void write_string(FILE *stream, const char *text)
{
        (void)fputc('"', stream);
        for (size_t n; *text; text += n) {
                unsigned char c = (unsigned char)*text;

                n = character(text);
                if (n == 0) {
                        (void)fputs("\\ufffd", stream);
                        n = 1;
                } else if (is_control(code_point(text, n))) {
                        (void)fprintf(stream, "\\u%04x", code_point(text, n));
                } else if (c == '"' || c == '\\') {
                        (void)fprintf(stream, "\\%c", c);
                } else {
                        (void)fwrite(text, 1, n, stream);
                }
        }
        (void)fputc('"', stream);
}

static void lead(Json *json, const char *key)
{
        if (json->has_member[json->depth])
                (void)fputc(',', json->stream);
        json->has_member[json->depth] = true;
        if (key) {
                write_string(json->stream, key);
                (void)fputc(':', json->stream);
        }
}

static void nest(Json *json, const char *key, char bracket)
{
        lead(json, key);
        (void)fputc(bracket, json->stream);
        if (json->depth + 1 < JSON_NESTING_MAX)
                json->depth++;
        json->has_member[json->depth] = false;
}

static void unnest(Json *json, char bracket)
{
        if (json->depth > 0)
                json->depth--;
        (void)fputc(bracket, json->stream);
}

void json_begin_bare(Json *json)
{
        *json = (Json){ 0 };
        json->stream = open_memstream(&json->text, &json->size);
        if (!json->stream)
                abort();
        (void)fputc('{', json->stream);
        json->depth = 1;
}

void json_begin(Json *json)
{
        json_begin_bare(json);
        json_number(json, "schema_version", SCHEMA_VERSION);
}

bool json_end(Json *json, FILE *to)
{
        bool good;

        (void)fputs("}\n", json->stream);
        good = fclose(json->stream) == 0 && fwrite(json->text, 1, json->size, to) == json->size &&
               fflush(to) == 0;
        free(json->text);
        *json = (Json){ 0 };
        return good;
}

void json_discard(Json *json)
{
        if (json->stream)
                (void)fclose(json->stream);
        free(json->text);
        *json = (Json){ 0 };
}

void json_open_object(Json *json, const char *key)
{
        nest(json, key, '{');
}

void json_open_array(Json *json, const char *key)
{
        nest(json, key, '[');
}

void json_close_object(Json *json)
{
        unnest(json, '}');
}

void json_close_array(Json *json)
{
        unnest(json, ']');
}

void json_text(Json *json, const char *key, const char *value)
{
        lead(json, key);
        if (value)
                write_string(json->stream, value);
        else
                (void)fputs("null", json->stream);
}

void json_number(Json *json, const char *key, uint64_t value)
{
        lead(json, key);
        (void)fprintf(json->stream, "%llu", (unsigned long long)value);
}

void json_flag(Json *json, const char *key, bool value)
{
        lead(json, key);
        (void)fputs(value ? "true" : "false", json->stream);
}

void json_time(Json *json, const char *key, uint64_t usec)
{
        char text[32];

        format_time(usec, text);
        json_text(json, key, usec ? text : NULL);
}

static void json_list(Json *json, const mcpcred_row *row, const char *name)
{
        json_open_array(json, name);
        for (size_t i = 0; i < mcpcred_row_count(row, name); i++)
                json_text(json, NULL, mcpcred_row_item(row, name, i));
        json_close_array(json);
}

static void json_map(Json *json, const mcpcred_row *row, const char *name)
{
        json_open_object(json, name);
        for (size_t i = 0; i < mcpcred_row_count(row, name); i++)
                json_text(json, mcpcred_row_key(row, name, i), mcpcred_row_item(row, name, i));
        json_close_object(json);
}

static void json_records(Json *json, const mcpcred_row *row, const char *name)
{
        json_open_array(json, name);
        for (size_t i = 0; i < mcpcred_row_count(row, name); i++)
                json_row(json, NULL, mcpcred_row_record(row, name, i));
        json_close_array(json);
}

static void json_field(Json *json, const mcpcred_row *row, const char *name, mcpcred_kind kind)
{
        switch (kind) {
        case MCPCRED_KIND_FLAG:
                json_flag(json, name, mcpcred_row_flag(row, name) != 0);
                break;
        case MCPCRED_KIND_NUMBER:
                json_number(json, name, mcpcred_row_number(row, name));
                break;
        case MCPCRED_KIND_TIME:
                json_time(json, name, mcpcred_row_time(row, name));
                break;
        case MCPCRED_KIND_TEXT:
                json_text(json, name, mcpcred_row_text(row, name));
                break;
        case MCPCRED_KIND_TEXTS:
                json_list(json, row, name);
                break;
        case MCPCRED_KIND_MAP:
                json_map(json, row, name);
                break;
        case MCPCRED_KIND_RECORD:
                json_row(json, name, mcpcred_row_record(row, name, 0));
                break;
        case MCPCRED_KIND_RECORDS:
                json_records(json, row, name);
                break;
        }
}

void json_row_members(Json *json, const mcpcred_row *row)
{
        const char *name;

        for (size_t i = 0; (name = mcpcred_row_field_name(row, i)); i++)
                json_field(json, row, name, mcpcred_row_field_kind(row, i));
}

void json_row(Json *json, const char *key, const mcpcred_row *row)
{
        if (!row) {
                json_text(json, key, NULL);
                return;
        }
        json_open_object(json, key);
        json_row_members(json, row);
        json_close_object(json);
}

/* ---- tables ---- */

Table table_new(const char *const *headers)
{
        Table table = { .headers = headers };

        while (headers[table.n_columns] && table.n_columns < TABLE_COLUMNS_MAX)
                table.n_columns++;
        return table;
}

void table_add(Table *table, const char *text)
{
        char **grown = reallocarray(table->cells, table->n_cells + 1, sizeof(*grown));
        char *cell = printable(text && *text ? text : "-");

        if (!grown || !cell)
                abort();
        table->cells = grown;
        table->cells[table->n_cells++] = cell;
}

/* Columns on a terminal, as far as one byte that is no continuation is one column. */
static size_t width_of(const char *text)
{
        size_t n = 0;

        for (; *text; text++)
                n += ((unsigned char)*text & 0xc0) != 0x80;
        return n;
}

size_t terminal_width(void)
{
        struct winsize size;

        if (!isatty(STDOUT_FILENO))
                return SIZE_MAX;
        return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void print_wrapped(const char *text, size_t indent, size_t at)
{
        size_t width = terminal_width();

        for (bool first = true; *text; first = false) {
                int bytes = (int)strcspn(text, " ");
                _cleanup_(free_memory) char *word = strndup(text, (size_t)bytes);
                size_t columns = word ? width_of(word) : (size_t)bytes;

                if (!first && at > indent && at + 1 + columns > width) {
                        (void)printf("\n%*s", (int)indent, "");
                        at = indent;
                } else if (!first) {
                        (void)putchar(' ');
                        at++;
                }
                (void)printf("%.*s", bytes, text);
                at += columns;
                text += bytes;
                text += strspn(text, " ");
        }
        (void)putchar('\n');
}

/* The text, cut at `width` columns with a mark where it was. */
static void print_cut(const char *text, size_t width)
{
        size_t shown = 0;
        bool cut = width_of(text) > width;

        for (; *text; text++) {
                if (((unsigned char)*text & 0xc0) != 0x80) {
                        if (cut && shown + 1 >= width)
                                break;
                        shown++;
                }
                putchar(*text);
        }
        if (cut)
                (void)fputs("…", stdout);
}

static void print_row(const Table *table, const char *const *cells, const size_t *widths,
                      size_t left)
{
        for (size_t c = 0; c < table->n_columns; c++) {
                bool last = c + 1 == table->n_columns;
                size_t width = last ? (left > 8 ? left : 8) : widths[c];

                print_cut(cells[c], width);
                if (last)
                        break;
                for (size_t n = width_of(cells[c]); n < widths[c] + 2; n++)
                        putchar(' ');
                left = left > widths[c] + 2 ? left - widths[c] - 2 : 0;
        }
        putchar('\n');
}

void table_print(Table *table)
{
        size_t widths[TABLE_COLUMNS_MAX] = { 0 }, terminal = terminal_width();

        for (size_t i = 0; i < table->n_cells + table->n_columns; i++) {
                size_t c = i % table->n_columns;
                const char *text = i < table->n_columns ? table->headers[c]
                                                        : table->cells[i - table->n_columns];

                if (width_of(text) > widths[c])
                        widths[c] = width_of(text);
        }
        if (table->n_cells > 0)
                print_row(table, table->headers, widths, terminal);
        for (size_t i = 0; i + table->n_columns <= table->n_cells; i += table->n_columns)
                print_row(table, (const char *const *)table->cells + i, widths, terminal);
        for (size_t i = 0; i < table->n_cells; i++)
                free(table->cells[i]);
        free(table->cells);
        *table = (Table){ 0 };
}

/* ---- times ---- */

void format_time(uint64_t usec, char out[32])
{
        time_t seconds = (time_t)(usec / USEC);
        struct tm tm;

        if (!gmtime_r(&seconds, &tm) || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                (void)snprintf(out, 32, "9999-12-31T23:59:59Z");
}

const char *short_duration(uint64_t seconds, char out[32])
{
        if (seconds < 120)
                (void)snprintf(out, 32, "%us", (unsigned)seconds);
        else if (seconds < 120 * 60)
                (void)snprintf(out, 32, "%um", (unsigned)(seconds / 60));
        else if (seconds < UINT64_C(48) * 3600)
                (void)snprintf(out, 32, "%uh", (unsigned)(seconds / 3600));
        else
                (void)snprintf(out, 32, "%llud", (unsigned long long)(seconds / 86400));
        return out;
}

const char *relative_time(uint64_t usec, char out[32])
{
        struct timespec now;
        uint64_t then = usec / USEC;
        char span[32];

        if (usec == 0)
                return "-";
        (void)clock_gettime(CLOCK_REALTIME, &now);
        if (then > (uint64_t)now.tv_sec)
                (void)snprintf(out, 32, "in %.20s",
                               short_duration(then - (uint64_t)now.tv_sec, span));
        else if (then == (uint64_t)now.tv_sec)
                (void)snprintf(out, 32, "now");
        else
                (void)snprintf(out, 32, "%.20s ago",
                               short_duration((uint64_t)now.tv_sec - then, span));
        return out;
}

/* ---- terminals ---- */

char *printable(const char *text)
{
        char *copy = strdup(text);

        for (char *at = copy; at && *at;) {
                size_t n = character(at);

                /* A byte by itself is a control character too, where the terminal takes it for one of eight bits. */
                if (n == 0 || is_control(code_point(at, n)))
                        memset(at, '?', n ? n : 1);
                at += n ? n : 1;
        }
        return copy;
}

bool use_colour(void)
{
        const char *no = getenv("NO_COLOR"), *force = getenv("CLICOLOR_FORCE"),
                   *colour = getenv("CLICOLOR"), *term = getenv("TERM");

        if (no && *no)
                return false;
        if (force && *force && strcmp(force, "0") != 0)
                return true;
        if (colour && strcmp(colour, "0") == 0)
                return false;
        return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}
