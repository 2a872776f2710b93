#pragma once
/* The parts of `mcpcred audit` and `mcpcred watch`. */
#include "audit_heads.h"
#include "cli.h"

/* Which events are wanted; NULL: any. */
typedef struct EventFilter {
        const char *session, *profile, *secret, *operation, *verdict, *token;
        uint64_t not_before; /* wall time, microseconds */
} EventFilter;

#define EVENT_FILTER_OPTIONS(type)                                                                                  \
        OPTION(type, filter.session, "session", TEXT, "ID", "events of this session"),                              \
                OPTION(type, filter.profile, "profile", TEXT, "NAME", "of this profile"),                           \
                OPTION(type, filter.secret, "secret", TEXT, "NAME", "of this secret"),                              \
                OPTION(type, filter.operation, "operation", TEXT, "NAME",                                           \
                       "of this operation, \"token.mint\", or all of a kind, \"token\""),                            \
                OPTION(type, filter.token, "token", TEXT, "HASH", "of this token: what `mcpcred audit hash` says"), \
                OPTION(type, filter.verdict, "verdict", TEXT, "WORD", "allow, deny or error")

/* 0, or an exit status where nothing could ever be what is wanted. */
int event_filter_check(Cli *cli, const Verb *verb, const EventFilter *filter);
bool event_is_wanted(const EventFilter *filter, const mcpcred_row *event);
/* One line, for people. */
void event_print(const mcpcred_row *event);

typedef struct AuditOptions {
        const char *file, *head, *format, *since;
        uint64_t lines;
        bool follow, journal, from_stdin;
        EventFilter filter;
} AuditOptions;

/* Where the log is, what it should end with, and what it begins behind. */
typedef struct AuditPlace {
        char path[4097];
        uint64_t sequence, base;
        char head[65], base_head[65];
        bool has_head, has_base;
        Head given; /* --head; its sequence is 0: none */
} AuditPlace;

/* From the broker, unless the options say it; where none answers, from where its state is, and of the ends is known what
 * --head says. 0 or an exit status. */
int audit_place(Cli *cli, const AuditOptions *asked, AuditPlace *ret);
/* What is wanted of the log: the filter with what --since says of the time, and the line it says to begin with. */
int audit_wanted(Cli *cli, const AuditOptions *asked, EventFilter *ret_filter, uint64_t *ret_since);
int audit_run_verify(Cli *cli, const AuditOptions *asked);
int audit_run_show(Cli *cli, const AuditOptions *asked);
int audit_run_tail(Cli *cli, const AuditOptions *asked);
int audit_run_export(Cli *cli, const AuditOptions *asked);

/* Prints events as they come, from line `since` on, over restarts of the broker; 0: from now on. */
int watch_events(Cli *cli, uint64_t since, const EventFilter *filter);
