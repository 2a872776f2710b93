#pragma once
/*
 * What is still to be looked at, shared by the threads of a scan: the only thing that they share. The newest comes
 * first, so that a tree is gone through depth first and little of it waits.
 */
#include "scan_found.h"
#include <pthread.h>

/* A folder that is open as long as names in it wait. */
typedef struct ScanFolder {
        int fd;
        char *path; /* "": names in it stand alone */
        unsigned waiting;
} ScanFolder;

/* A file that several threads share, a part each. */
typedef struct ScanLarge {
        int fd;
        char *path;
        uint64_t size;
        uint64_t next;  /* where the next part begins */
        unsigned parts; /* that are being looked at */
        ScanResult result;
        int error; /* -errno of a part */
} ScanLarge;

typedef enum ScanTaskKind {
        SCAN_TASK_FOLDER, /* `path` */
        SCAN_TASK_NAMES,  /* `names` of `folder` */
        SCAN_TASK_PART,   /* of `large`, from `at` */
} ScanTaskKind;

typedef struct ScanTask {
        ScanTaskKind kind;
        bool root; /* it was named by the user: links are followed */
        char *path;
        ScanFolder *folder;
        char *names; /* each with its NUL */
        size_t names_size;
        ScanLarge *large;
        uint64_t at, end;
} ScanTask;

typedef struct ScanQueue {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        ScanTask *tasks;
        size_t n, room;
        unsigned busy; /* threads that may still add something */
} ScanQueue;

void scan_queue_init(ScanQueue *queue);
void scan_queue_deinit(ScanQueue *queue);
/* Takes over what the task has. False: there is no memory, and it is freed. */
bool scan_queue_push(ScanQueue *queue, const ScanTask *task);
/* Waits for one. False: there is none, and there will be none. Until it is done, `busy` counts the thread. */
bool scan_queue_pop(ScanQueue *queue, ScanTask *ret);
/* The task is over: frees what it has. A folder is closed with its last one. */
void scan_queue_done(ScanQueue *queue, ScanTask *task);
/* One part of a large file is over: keeps what it found. True: it was the last one, and the caller owns the file. */
bool scan_queue_part_done(ScanQueue *queue, ScanLarge *large, ScanResult *result, int error);
void scan_large_free(ScanLarge *large);
