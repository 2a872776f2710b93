#include "vault/rights.h"
#include "base/slice.h"
#include <string.h>

/* A thing, and what may be done with it. */
typedef struct Right {
        Slice thing;
        unsigned level; /* index into the words; beyond them: all */
} Right;

static const char *const words[] = { "read", "write", "admin" };
#define LEVEL_ALL ARRAY_SIZE(words)

static bool is_word(const char *text, size_t n, unsigned *ret)
{
        for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
                if (strlen(words[i]) == n && memcmp(words[i], text, n) == 0) {
                        *ret = i;
                        return true;
                }
        return false;
}

/* "THING:read", "read:THING" or "read_THING"; all else is a thing with which anything may be done. */
static Right parse(const char *text)
{
        size_t n = strlen(text), first = strcspn(text, ":_");
        const char *last = strrchr(text, ':');
        Right right = { .thing = slice(text, n), .level = LEVEL_ALL };

        if (last && last > text && is_word(last + 1, n - (size_t)(last + 1 - text), &right.level))
                right.thing = slice(text, (size_t)(last - text));
        else if (first + 1 < n && is_word(text, first, &right.level))
                right.thing = slice(text + first + 1, n - first - 1);
        return right;
}

/* The same thing, or a part of it. */
static bool is_part(Slice part, Slice whole)
{
        return whole.size > 0 && part.size >= whole.size && memcmp(part.data, whole.data, whole.size) == 0 &&
               (part.size == whole.size || part.data[whole.size] == ':');
}

static bool covers(const char *before, const char *now)
{
        Right old = parse(before), new = parse(now);

        return strcmp(before, now) == 0 || (is_part(new.thing, old.thing) && new.level <= old.level);
}

bool rights_are_within(const TextList *now, const TextList *before, const char **ret_wider)
{
        for (size_t i = 0; i < now->n; i++) {
                bool covered = false;

                for (size_t k = 0; k < before->n && !covered; k++)
                        covered = covers(before->items[k], now->items[i]);
                if (!covered) {
                        *ret_wider = now->items[i];
                        return false;
                }
        }
        return true;
}
