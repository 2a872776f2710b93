#include "supervisor/config_text.h"
#include "base/text.h"
#include <ini.h>

/* "[profile " and the longest name and "]", with room to say that a name is too long. */
#define HEADER_MAX 160U

typedef struct Lines {
        const ConfigText *text;
        Slice left;
        unsigned line;
        bool in_section;
} Lines;

static bool is_blank(uint8_t c)
{
        return c == ' ' || c == '\t';
}

static Slice trim(Slice line)
{
        while (line.size > 0 && is_blank(line.data[0]))
                line = slice(line.data + 1, line.size - 1);
        while (line.size > 0 &&
               (is_blank(line.data[line.size - 1]) || line.data[line.size - 1] == '\r'))
                line.size--;
        return line;
}

static Slice take_line(Lines *lines)
{
        const uint8_t *end = memchr(lines->left.data, '\n', lines->left.size);
        size_t size = end ? (size_t)(end - lines->left.data) : lines->left.size;
        Slice line = slice(lines->left.data, size);

        size = end ? size + 1 : size;
        lines->left = slice(lines->left.data + size, lines->left.size - size);
        lines->line++;
        return line;
}

static void problem(Lines *lines, const char *what)
{
        problems_add(lines->text->problems, lines->text->file, lines->line, "%s", what);
}

/* "[kind name]", after which only a comment may follow. */
static void take_header(Lines *lines, Slice line)
{
        const uint8_t *end = memchr(line.data, ']', line.size);
        char header[HEADER_MAX], *name;
        Slice inside, rest;

        lines->in_section = true; /* its keys are not also reported as "before any section" */
        if (!end) {
                problem(lines, "a section's name ends with \"]\"");
                return;
        }
        rest = trim(slice(end + 1, line.size - (size_t)(end + 1 - line.data)));
        inside = trim(slice(line.data + 1, (size_t)(end - line.data) - 1));
        if (rest.size > 0 && rest.data[0] != ';' && rest.data[0] != '#') {
                problem(lines, "something follows the \"]\" of a section's name");
                return;
        }
        if (inside.size == 0 || inside.size >= sizeof(header)) {
                problem(lines, inside.size == 0 ? "a section needs a name"
                                                : "a section's name is too long");
                return;
        }
        memcpy(header, inside.data, inside.size);
        header[inside.size] = '\0';
        name = header + strcspn(header, " \t");
        if (*name) {
                *name++ = '\0';
                name += strspn(name, " \t");
        }
        lines->text->section(lines->text->userdata, lines->line, header, name);
}

/* Whether it is "key = value"; other lines inih would refuse too, but name only the first of them.
 */
static bool is_key(Slice line)
{
        size_t i = 0;

        while (i < line.size &&
               (line.data[i] == '_' || line.data[i] == '-' || line.data[i] == '.' ||
                (line.data[i] >= 'a' && line.data[i] <= 'z') ||
                (line.data[i] >= 'A' && line.data[i] <= 'Z') ||
                (line.data[i] >= '0' && line.data[i] <= '9')))
                i++;
        if (i == 0)
                return false;
        while (i < line.size && is_blank(line.data[i]))
                i++;
        return i < line.size && line.data[i] == '=';
}

static bool has_control(Slice line)
{
        for (size_t i = 0; i < line.size; i++)
                if ((line.data[i] < 0x20 && line.data[i] != '\t') || line.data[i] == 0x7f)
                        return true;
        return false;
}

/* What inih gets to see of a line: all of it, or nothing where it is not a key that it would split.
 */
static Slice check_line(Lines *lines, Slice line, size_t capacity)
{
        /* Indented keys are keys, as for git; inih would take them for more of the value before. */
        line = trim(line);
        if (line.size == 0)
                return SLICE_NULL;
        if (memchr(line.data, '\0', line.size) || !text_is_utf8(line))
                problem(lines, "is not UTF-8 text");
        else if (has_control(line))
                problem(lines, "has a control character");
        else if (line.data[0] == ';' || line.data[0] == '#')
                return SLICE_NULL;
        else if (line.size > capacity)
                problems_add(lines->text->problems, lines->text->file, lines->line,
                             "the line is too long: at most %zu bytes (a list can be given in "
                             "several lines, "
                             "each with its key)",
                             capacity);
        else if (line.data[0] == '[')
                take_header(lines, line);
        else if (!is_key(line))
                problem(lines, "is neither a [section] nor \"key = value\"");
        else if (!lines->in_section)
                problem(lines, "a key stands before any section");
        else
                return line;
        return SLICE_NULL;
}

/* fgets() for inih. */
static char *read_line(char *out, int capacity, void *userdata)
{
        Lines *lines = userdata;
        Slice line;

        if (lines->left.size == 0)
                return NULL;
        line = take_line(lines);
        line = check_line(lines, line,
                          (size_t)capacity - 3); /* "\r\n" and the NUL, as inih counts */
        if (line.size > 0)
                memcpy(out, line.data, line.size);
        out[line.size] = '\n';
        out[line.size + 1] = '\0';
        return out;
}

static int on_key(void *userdata, UNUSED const char *section, const char *name, const char *value)
{
        Lines *lines = userdata;

        lines->text->key(lines->text->userdata, lines->line, name, value ? value : "");
        return 1;
}

int config_text_parse(const ConfigText *text, Slice bytes)
{
        static const uint8_t mark[] = { 0xef, 0xbb, 0xbf };
        Lines lines = { .text = text, .left = bytes };
        int r;

        if (bytes.size >= sizeof(mark) && memcmp(bytes.data, mark, sizeof(mark)) == 0)
                lines.left = slice(bytes.data + sizeof(mark), bytes.size - sizeof(mark));
        r = ini_parse_stream(read_line, &lines, on_key, &lines);
        if (r == -2)
                return -ENOMEM;
        if (r != 0) /* a line that we let pass and inih did not like */
                problems_add(text->problems, text->file, r > 0 ? (unsigned)r : 0,
                             "cannot be parsed");
        return 0;
}
