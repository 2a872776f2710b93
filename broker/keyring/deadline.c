#include "keyring/deadline.h"

struct Deadline {
        GThread *thread;
        GMutex lock; /* over all below */
        GCond changed;
        GCancellable *cancellable; /* NULL: nothing is under way */
        gint64 until;              /* monotonic, in microseconds */
        bool over;
};

static gpointer run(gpointer userdata)
{
        Deadline *deadline = userdata;

        g_mutex_lock(&deadline->lock);
        while (!deadline->over) {
                GCancellable *late = NULL;

                if (!deadline->cancellable || deadline->until == G_MAXINT64)
                        g_cond_wait(&deadline->changed, &deadline->lock);
                else if (!g_cond_wait_until(&deadline->changed, &deadline->lock, deadline->until) &&
                         deadline->cancellable && g_get_monotonic_time() >= deadline->until)
                        late = g_object_ref(deadline->cancellable);
                if (!late)
                        continue;
                deadline->until = G_MAXINT64;
                /* Its callbacks run in here; none may find the lock taken. */
                g_mutex_unlock(&deadline->lock);
                g_cancellable_cancel(late);
                g_object_unref(late);
                g_mutex_lock(&deadline->lock);
        }
        g_mutex_unlock(&deadline->lock);
        return NULL;
}

int deadline_new(Deadline **ret)
{
        Deadline *deadline = calloc(1, sizeof(*deadline));
        GError *error = NULL;

        if (!deadline)
                return -ENOMEM;
        g_mutex_init(&deadline->lock);
        g_cond_init(&deadline->changed);
        deadline->thread = g_thread_try_new("deadline", run, deadline, &error);
        if (!deadline->thread) {
                g_clear_error(&error);
                deadline_free(deadline);
                return -EAGAIN;
        }
        *ret = deadline;
        return 0;
}

Deadline *deadline_free(Deadline *deadline)
{
        if (!deadline)
                return NULL;
        if (deadline->thread) {
                g_mutex_lock(&deadline->lock);
                deadline->over = true;
                g_cond_signal(&deadline->changed);
                g_mutex_unlock(&deadline->lock);
                (void)g_thread_join(deadline->thread);
        }
        g_clear_object(&deadline->cancellable);
        g_cond_clear(&deadline->changed);
        g_mutex_clear(&deadline->lock);
        free(deadline);
        return NULL;
}

GCancellable *deadline_begin(Deadline *deadline, uint64_t usec)
{
        GCancellable *cancellable = g_cancellable_new();

        g_mutex_lock(&deadline->lock);
        deadline->cancellable = cancellable;
        deadline->until = g_get_monotonic_time() + (gint64)usec;
        g_cond_signal(&deadline->changed);
        g_mutex_unlock(&deadline->lock);
        return cancellable;
}

void deadline_end(Deadline *deadline)
{
        g_mutex_lock(&deadline->lock);
        g_clear_object(&deadline->cancellable);
        g_cond_signal(&deadline->changed);
        g_mutex_unlock(&deadline->lock);
}
