#pragma once
/* What a report holds, as it is asked about: hashes of candidates, and where each was found. No value is kept. */
#include "leak_report.h"
#include "mcpcred.h"

/* Of what a tool says of a finding. */
#define LEAK_PLACE_MAX 512U

typedef struct Finding {
        char *place, *rule; /* NULL: not known, or the value is in it */
        uint64_t line, number; /* as in LeakFinding */
        bool matched, blanked; /* the latter as in LeakFinding */
} Finding;

/* A candidate in a finding. The uses of one candidate are a list. */
typedef struct Use {
        uint32_t finding;
        uint32_t next; /* number + 1 in Findings.uses; 0: none */
} Use;

typedef struct Findings {
        mcpcred_leak *leak;
        Finding *items;
        size_t n, room;
        Use *uses;
        size_t n_uses, uses_room;
        uint32_t *first_use; /* of each candidate: number + 1 */
        size_t n_candidates, candidates_room;
        uint64_t cut;       /* findings with more forms than are looked at */
        uint64_t cut_lines; /* of these: in a text that somebody wrote, where the value may be in any piece */
} Findings;

/* LEAK_E_NO_MEMORY. */
int findings_init(Findings *findings);
void findings_deinit(Findings *findings);
/* A LeakSink. */
int findings_add(void *userdata, const LeakFinding *finding);
/* Marks all findings that have the candidate. `visit` gets each of them. */
void findings_match(Findings *findings, size_t candidate, void (*visit)(void *userdata, const Finding *finding),
                    void *userdata);
size_t findings_matched(const Findings *findings);
/* Of those without a match: in which a value seems to be blanked out, so that it may be ours all the same. */
size_t findings_blanked(const Findings *findings);
