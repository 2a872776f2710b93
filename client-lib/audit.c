#include "client.h"
#include "base/text.h"
#include "wire/audit_line.h"
#include <stdio.h>

int mcpcred_audit_verify(mcpcred *client, int fd, uint64_t sequence, const char *head,
                         mcpcred_audit *ret)
{
        uint8_t expected[AUDIT_HASH_SIZE];
        AuditReport report = { 0 };
        int r;

        client_clear_error(client);
        if (head && text_unhex(head, expected, sizeof(expected)))
                return client_fail(client, MCPCRED_E_MISUSE, "The head is not a hash in hex.");
        r = audit_verify_file(fd, &report);
        if (r)
                return client_fail_errno(client, r, "read the audit log");
        if (head && report.bad_line == 0)
                audit_report_expect(&report, sequence, expected);
        *ret = (mcpcred_audit){ .lines = report.lines,
                                .bad_line = report.bad_line,
                                .sequence = report.sequence };
        (void)snprintf(ret->reason, sizeof(ret->reason), "%s", report.reason ? report.reason : "");
        text_hex(slice(report.head, sizeof(report.head)), ret->head);
        return MCPCRED_OK;
}
