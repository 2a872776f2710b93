#include "session/dns.h"
#include "base/reader.h"

#define HEADER_SIZE 12U
#define LABEL_MAX   63U
/* The question's name, of which an answer's name is a reference. */
#define QUESTION_AT 0xc00cU

enum { TYPE_A = 1, TYPE_AAAA = 28, CLASS_IN = 1 };
enum { CODE_OK = 0, CODE_FORMAT = 1, CODE_NO_NAME = 3, CODE_UNSUPPORTED = 4, CODE_REFUSED = 5 };

enum {
        FLAG_RESPONSE = 0x8000,
        FLAG_OPCODE = 0x7800,
        FLAG_AUTHORITATIVE = 0x0400,
        FLAG_TRUNCATED = 0x0200,
        FLAG_RECURSION_DESIRED = 0x0100,
        FLAG_RECURSION_AVAILABLE = 0x0080,
};

/* Every name server that speaks the protocol writes the high byte first. */
static int read_u16(Reader *reader, uint16_t *ret)
{
        uint8_t high, low;
        Reader start = *reader;

        if (reader_u8(reader, &high) || reader_u8(reader, &low)) {
                *reader = start;
                return READER_E_SHORT;
        }
        *ret = (uint16_t)(high << 8 | low);
        return 0;
}

typedef struct Answer {
        uint8_t *out;
        size_t size;
} Answer;

static void put(Answer *answer, const void *data, size_t size)
{
        if (size > DNS_ANSWER_MAX - answer->size)
                return; /* cannot be: a question and one record are short */
        memcpy(answer->out + answer->size, data, size);
        answer->size += size;
}

static void put_u16(Answer *answer, unsigned value)
{
        const uint8_t bytes[] = { (uint8_t)(value >> 8), (uint8_t)value };

        put(answer, bytes, sizeof(bytes));
}

typedef struct Query {
        uint16_t id, flags, counts[4];
        Slice question; /* as it was sent */
        char name[DNS_NAME_MAX + 1];
        uint16_t type, class;
} Query;

/* One name, without compression, which a question has no use for. */
static int read_name(Reader *reader, char name[DNS_NAME_MAX + 1])
{
        size_t size = 0;
        uint8_t length;
        Slice label;

        for (;;) {
                if (reader_u8(reader, &length) || length > LABEL_MAX)
                        return READER_E_SHORT;
                if (length == 0)
                        break;
                if (reader_bytes(reader, length, &label) || size + length + (size > 0) > DNS_NAME_MAX)
                        return READER_E_SHORT;
                if (size > 0)
                        name[size++] = '.';
                for (size_t i = 0; i < label.size; i++) {
                        uint8_t c = label.data[i];

                        /* No name that may be reached has a dot or a control character inside a label. */
                        if (c <= 0x20 || c >= 0x7f || c == '.')
                                c = '?';
                        name[size++] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
                }
        }
        name[size] = 0;
        return 0;
}

static int read_question(Reader *reader, Query *query)
{
        const uint8_t *start = reader->at;
        int r = read_name(reader, query->name);

        if (r == 0)
                r = read_u16(reader, &query->type);
        if (r == 0)
                r = read_u16(reader, &query->class);
        if (r == 0)
                query->question = slice(start, (size_t)(reader->at - start));
        return r;
}

static unsigned code_of(Query *query, Reader *reader, DnsKnown known, void *userdata)
{
        if ((query->flags & FLAG_OPCODE) != 0)
                return CODE_UNSUPPORTED;
        if ((query->flags & FLAG_TRUNCATED) != 0 || query->counts[0] != 1 || query->counts[1] != 0)
                return CODE_FORMAT;
        if (read_question(reader, query) != 0)
                return CODE_FORMAT;
        if (query->class != CLASS_IN)
                return CODE_REFUSED;
        return known(userdata, query->name) ? CODE_OK : CODE_NO_NAME;
}

static void put_record(Answer *answer, unsigned type)
{
        static const uint8_t v4[] = { 127, 0, 0, 1 };
        static const uint8_t v6[16] = { [15] = 1 };

        put_u16(answer, QUESTION_AT);
        put_u16(answer, type);
        put_u16(answer, CLASS_IN);
        put_u16(answer, 0);
        put_u16(answer, DNS_TTL_SECONDS);
        put_u16(answer, type == TYPE_A ? sizeof(v4) : sizeof(v6));
        if (type == TYPE_A)
                put(answer, v4, sizeof(v4));
        else
                put(answer, v6, sizeof(v6));
}

size_t dns_answer(Slice bytes, DnsKnown known, void *userdata, uint8_t out[DNS_ANSWER_MAX])
{
        Query query = { 0 };
        Answer answer = { .out = out };
        Reader reader;
        unsigned code;
        bool record;

        reader_init(&reader, bytes);
        if (bytes.size < HEADER_SIZE || bytes.size > DNS_QUERY_MAX || read_u16(&reader, &query.id) ||
            read_u16(&reader, &query.flags) || (query.flags & FLAG_RESPONSE) != 0)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(query.counts); i++)
                if (read_u16(&reader, &query.counts[i]))
                        return 0;
        code = code_of(&query, &reader, known, userdata);
        record = code == CODE_OK && (query.type == TYPE_A || query.type == TYPE_AAAA);
        put_u16(&answer, query.id);
        put_u16(&answer, FLAG_RESPONSE | FLAG_AUTHORITATIVE | FLAG_RECURSION_AVAILABLE |
                                 (query.flags & (FLAG_OPCODE | FLAG_RECURSION_DESIRED)) | code);
        put_u16(&answer, query.question.size > 0 ? 1 : 0);
        put_u16(&answer, record ? 1 : 0);
        put_u16(&answer, 0);
        put_u16(&answer, 0);
        if (query.question.size > 0)
                put(&answer, query.question.data, query.question.size);
        if (record)
                put_record(&answer, query.type);
        return answer.size;
}
