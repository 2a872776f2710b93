/* One line of an audit log that anybody may have written: what is read of it has what each line has, and no control
 * character is left unless its escape was there. */
#include "wire/audit_line.h"
#include "base/text.h"
#include "target.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Pool pool = POOL_NULL(8U * AUDIT_LINE_MAX);
        uint8_t prev[AUDIT_HASH_SIZE], hash[AUDIT_HASH_SIZE];
        AuditFields fields;
        uint64_t sequence;
        int r = audit_line_read(slice(data, size), &pool, &fields);

        if (r != 0 && r != AUDIT_LINE_E_INVALID)
                abort();
        if (r == 0 && (!fields.operation || !fields.verdict || !text_is_utf8(slice_text(fields.operation)) ||
                       (fields.detail && !text_is_utf8(slice_text(fields.detail)))))
                abort();
        r = audit_line_parse(slice(data, size), &sequence, prev, hash);
        if (r < 0)
                abort();
        pool_deinit(&pool);
        return 0;
}
