#include "scan_queue.h"
#include <unistd.h>

/* Of a large file: what is read twice around its edges is little beside it. */
#define PART_SIZE (4U * 1024U * 1024U)

static void task_free(ScanTask *task)
{
        free(task->path);
        free(task->names);
        *task = (ScanTask){ 0 };
}

/* Under the lock. */
static void let_go(ScanFolder *folder)
{
        if (!folder || --folder->waiting > 0)
                return;
        (void)close(folder->fd);
        free(folder->path);
        free(folder);
}

void scan_large_free(ScanLarge *large)
{
        (void)close(large->fd);
        free(large->path);
        scan_result_clear(&large->result);
        free(large);
}

void scan_queue_init(ScanQueue *queue)
{
        *queue = (ScanQueue){ .tasks = NULL };
        (void)pthread_mutex_init(&queue->lock, NULL);
        (void)pthread_cond_init(&queue->changed, NULL);
}

void scan_queue_deinit(ScanQueue *queue)
{
        (void)pthread_mutex_destroy(&queue->lock);
        (void)pthread_cond_destroy(&queue->changed);
        free(queue->tasks);
}

static bool make_room(ScanQueue *queue)
{
        size_t room = queue->room ? 2 * queue->room : 64;
        ScanTask *tasks;

        if (queue->n < queue->room)
                return true;
        tasks = realloc(queue->tasks, room * sizeof(*tasks));
        if (!tasks)
                return false;
        queue->tasks = tasks;
        queue->room = room;
        return true;
}

bool scan_queue_push(ScanQueue *queue, const ScanTask *task)
{
        ScanTask copy = *task;
        bool pushed;

        (void)pthread_mutex_lock(&queue->lock);
        pushed = make_room(queue);
        if (pushed) {
                queue->tasks[queue->n++] = copy;
                (void)pthread_cond_signal(&queue->changed);
        } else {
                let_go(copy.folder);
                task_free(&copy);
        }
        (void)pthread_mutex_unlock(&queue->lock);
        return pushed;
}

/* Under the lock: the next part; the file stays in the queue until its last one is taken. */
static void take_part(ScanQueue *queue, ScanTask *ret)
{
        ScanLarge *large = queue->tasks[queue->n - 1].large;

        *ret = (ScanTask){ .kind = SCAN_TASK_PART, .large = large, .at = large->next };
        large->next = large->size - large->next > PART_SIZE ? large->next + PART_SIZE : large->size;
        ret->end = large->next;
        large->parts++;
        if (large->next == large->size)
                queue->n--;
}

bool scan_queue_pop(ScanQueue *queue, ScanTask *ret)
{
        bool any;

        (void)pthread_mutex_lock(&queue->lock);
        while (queue->n == 0 && queue->busy > 0)
                (void)pthread_cond_wait(&queue->changed, &queue->lock);
        any = queue->n > 0;
        if (any) {
                queue->busy++;
                if (queue->tasks[queue->n - 1].kind == SCAN_TASK_PART)
                        take_part(queue, ret);
                else
                        *ret = queue->tasks[--queue->n];
                if (queue->n > 0) /* for one more */
                        (void)pthread_cond_signal(&queue->changed);
        }
        (void)pthread_mutex_unlock(&queue->lock);
        return any;
}

void scan_queue_done(ScanQueue *queue, ScanTask *task)
{
        (void)pthread_mutex_lock(&queue->lock);
        let_go(task->folder);
        if (--queue->busy == 0 && queue->n == 0)
                (void)pthread_cond_broadcast(&queue->changed);
        (void)pthread_mutex_unlock(&queue->lock);
        task_free(task);
}

bool scan_queue_part_done(ScanQueue *queue, ScanLarge *large, ScanResult *result, int error)
{
        bool last;

        (void)pthread_mutex_lock(&queue->lock);
        scan_result_append(&large->result, result);
        if (error && !large->error)
                large->error = error;
        last = --large->parts == 0 && large->next == large->size;
        (void)pthread_mutex_unlock(&queue->lock);
        return last;
}
