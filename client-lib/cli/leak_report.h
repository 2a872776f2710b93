#pragma once
/*
 * A report of leaked credentials, as a tool or an upstream sends it: which format it has, and what was found. Pure:
 * bytes in, findings out; nothing is kept of them.
 */
#include "leak_text.h"

/* All of it is kept in memory while it is read. */
#define LEAK_REPORT_MAX (64U * 1024U * 1024U)
/* More is no report but a dump. */
#define LEAK_FINDINGS_MAX 1000000U

typedef enum LeakFormat {
        LEAK_FORMAT_AUTO,
        LEAK_FORMAT_PLAIN,           /* tokens, one a line; PEM blocks */
        LEAK_FORMAT_GITLEAKS,        /* gitleaks' JSON report */
        LEAK_FORMAT_SARIF,           /* SARIF 2.1.0, of whatever tool */
        LEAK_FORMAT_TRUFFLEHOG,      /* trufflehog --json: one object a line */
        LEAK_FORMAT_PARTNER,         /* GitHub's or GitLab's secret scanning partner programme */
        LEAK_FORMAT_GITHUB_ALERT,    /* GitHub's webhook secret_scanning_alert, which has no value in it */
        LEAK_FORMAT_GITHUB_SECRETS,  /* what GitHub's API answers about alerts, which has */
        LEAK_FORMAT_GITGUARDIAN,     /* GitGuardian's custom webhook */
        LEAK_FORMAT_GITLAB,          /* GitLab's gl-secret-detection-report.json, of whatever tool */
        _LEAK_FORMAT_N,
} LeakFormat;
extern const char *const leak_format_names[_LEAK_FORMAT_N];

/* One finding. Everything is borrowed, and may be empty or NULL but for `value`. */
typedef struct LeakFinding {
        LeakText value;
        LeakText context;  /* that the value stands in */
        bool is_line;      /* the value is somewhere in a text that somebody wrote: more of its pieces are looked at */
        bool blanked;      /* filled in for the sink, of a line: a value in it seems to be; others in it may be whole */
        const char *rule;  /* what the tool calls it */
        const char *place; /* file or address */
        uint64_t line;     /* in it; 0: none */
        uint64_t number;   /* of the finding in the report, from 1; filled in for the sink */
} LeakFinding;

/* 0 or a LEAK_E_*, which ends the reading. */
typedef int (*LeakSink)(void *userdata, const LeakFinding *finding);

/* A notification that names what was found and does not contain it. */
typedef struct LeakNotice {
        bool present;
        bool acts; /* something was found, or is found again; otherwise there is nothing to do */
        char action[64];
        char kind[128];       /* what the sender calls it */
        char repository[202]; /* owner/name, well-formed, or "" */
        char url[512];        /* https, printable, or "" */
        uint64_t number;      /* of the alert or incident */
} LeakNotice;

typedef struct LeakReport {
        LeakFormat format;
        uint64_t findings;   /* all of them */
        uint64_t redacted;   /* of these: the tool blanked the value. A line is given to the sink all the same */
        uint64_t missing;    /* of these: there is no value */
        uint64_t unreadable; /* of these: not JSON, or longer than a finding can be */
        LeakNotice notice;
        char problem[200]; /* with LEAK_E_INVALID: what is wrong, without a full stop */
} LeakReport;

/*
 * Reads the whole report; `format` other than AUTO says what it is. 0, LEAK_E_INVALID, LEAK_E_TOO_MANY,
 * LEAK_E_NO_MEMORY, or what `sink` returned; then not all findings were seen.
 */
int leak_report_read(LeakText text, LeakFormat format, LeakSink sink, void *userdata, LeakReport *ret);
/* False: there is none of that name. */
bool leak_format_find(const char *name, LeakFormat *ret);
