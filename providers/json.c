#include "providers/json.h"
#include "base/wipe.h"

void json_global_init(void)
{
        json_set_alloc_funcs(wipe_malloc, wipe_free);
        json_object_seed(
                0); /* reads the kernel's randomness now, where confinement does not bar it yet */
}

/* jansson's own limit is 2048 levels, on the stack. */
static bool is_shallow(Slice bytes)
{
        unsigned depth = 0;
        bool in_text = false;

        for (size_t i = 0; i < bytes.size; i++) {
                uint8_t c = bytes.data[i];

                if (in_text && c == '\\')
                        i++;
                else if (c == '"')
                        in_text = !in_text;
                else if (!in_text && (c == '{' || c == '['))
                        depth++;
                else if (!in_text && (c == '}' || c == ']') && depth > 0)
                        depth--;
                if (depth > JSON_DEPTH_MAX)
                        return false;
        }
        return true;
}

int json_read(Slice bytes, json_t **ret)
{
        json_t *json;

        if (bytes.size == 0 || !is_shallow(bytes))
                return JSON_E_INVALID;
        json = json_loadb((const char *)bytes.data, bytes.size, JSON_REJECT_DUPLICATES, NULL);
        if (!json)
                return JSON_E_INVALID;
        if (!json_is_object(json)) {
                json_decref(json);
                return JSON_E_INVALID;
        }
        *ret = json;
        return 0;
}

const char *json_text(const json_t *object, const char *key)
{
        return json_string_value(json_object_get(object, key));
}
