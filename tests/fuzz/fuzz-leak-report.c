/* A report of leaked values, of whatever format: the first byte says which it is taken for. What is told of it has to
 * add up, and what is kept has to be within its limits. */
#include "leak_findings.h"
#include "target.h"
#include <stdlib.h>
#include <string.h>

static void look(void *userdata, const Finding *finding)
{
        const LeakReport *report = userdata;

        if (finding->number == 0 || finding->number > report->findings)
                abort();
        if (finding->place && strlen(finding->place) > LEAK_PLACE_MAX)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        LeakFormat format = LEAK_FORMAT_AUTO;
        Findings findings;
        LeakReport report;
        int r;

        if (size > 0 && data[0] >= 'A' && data[0] < 'A' + _LEAK_FORMAT_N) {
                format = (LeakFormat)(data[0] - 'A');
                data++;
                size--;
        }
        if (findings_init(&findings))
                abort();
        r = leak_report_read(leak_text((const char *)data, size), format, findings_add, &findings, &report);
        if ((r == LEAK_E_INVALID) != (report.problem[0] != '\0'))
                abort();
        if (report.redacted + report.missing + report.unreadable + findings.n != report.findings)
                abort();
        for (size_t i = 0; i < findings.n_candidates; i++)
                findings_match(&findings, i, look, &report);
        if (findings_matched(&findings) != findings.n)
                abort();
        findings_deinit(&findings);
        return 0;
}
