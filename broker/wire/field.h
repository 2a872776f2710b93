#pragma once
/* How the tables of wire/msg_*.c are written: one line a field. The JSON name is the member's. */
#include "wire/interface.h"

#define F(type, member, kind, flags, max, item_max) \
        { #member, FIELD_##kind, flags, max, item_max, offsetof(type, member), NULL, NULL }
#define F_ENUM(type, member, flags, names) \
        { #member, FIELD_ENUM, flags, 0, 0, offsetof(type, member), NULL, names }
#define F_RECORD(type, member, flags, schema) \
        { #member, FIELD_RECORD, flags, 0, 0, offsetof(type, member), &(schema), NULL }
#define F_RECORDS(type, member, flags, max, schema) \
        { #member, FIELD_RECORDS, flags, max, 0, offsetof(type, member), &(schema), NULL }

/* Limits that several interfaces share, in bytes unless said otherwise. */
#define LIMIT_NAME 64U          /* a secret's, profile's or provider's name */
#define LIMIT_ID 18U            /* ident.h */
#define LIMIT_LABEL 128U        /* what a person may write about a thing */
#define LIMIT_TEXT 512U         /* a sentence */
#define LIMIT_PATH 4096U
#define LIMIT_URL 2048U
#define LIMIT_GRANTS 16U        /* profiles in one session */
#define LIMIT_ENVIRONMENT 384U  /* variables of one session */
#define LIMIT_HOSTS 64U         /* hosts of one secret */
#define LIMIT_REPOSITORIES 500U /* what GitHub takes in one token (providers reference) */
#define LIMIT_PERMISSIONS 64U
#define LIMIT_PARAMETERS 16U    /* provider settings of one secret */
#define LIMIT_ARGV 32U          /* words of a pinned command */
#define LIMIT_VARIABLES 16U     /* further variables of one profile */
#define LIMIT_CANDIDATES 512U   /* hashes in one report of a leak; larger reports come in several */
#define LIMIT_RIGHTS 256U       /* of one secret, as its upstream lists them */
/* Values of secrets that one call ends: each is looked at before and behind it, one after the other, within the
 * provider process's time. */
#define LIMIT_TOGETHER 32U
#define LIMIT_ACTIONS 8U        /* of the answer to a leak */
#define LIMIT_METRICS 8192U     /* bytes of metrics in one reply; further ones follow as "more" */
#define LIMIT_CUT 1024U         /* sessions that are ended by one message */
#define LIMIT_PAGE 64U          /* rows in one reply of a listing; further ones follow as "more" */
