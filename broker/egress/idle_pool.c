#include "egress/idle_pool.h"
#include "base/list.h"
#include <sys/epoll.h>

typedef struct Idle {
        List link; /* in IdlePool.waiting, longest first */
        IdlePool *pool;
        Connection *connection;
        uint64_t until; /* boot clock */
} Idle;

struct IdlePool {
        Loop *loop;
        Timer *timer;
        List waiting;
        size_t n;
};

static int on_timer(void *userdata);

int idle_pool_new(IdlePool **ret, Loop *loop)
{
        _cleanup_(idle_pool_freep) IdlePool *pool = calloc(1, sizeof(*pool));
        int r;

        if (!pool)
                return -ENOMEM;
        pool->loop = loop;
        list_init(&pool->waiting);
        r = timer_new(&pool->timer, loop, on_timer, pool);
        if (r < 0)
                return r;
        *ret = take_ptr(pool);
        return 0;
}

/* Returns its connection. */
static Connection *unlink_idle(Idle *idle)
{
        Connection *connection = idle->connection;

        list_remove(&idle->link);
        idle->pool->n--;
        free(idle);
        return connection;
}

static void drop(Idle *idle)
{
        connection_free(unlink_idle(idle));
}

IdlePool *idle_pool_free(IdlePool *pool)
{
        if (!pool)
                return NULL;
        LIST_FOREACH(node, &pool->waiting)
                drop(container_of(node, Idle, link));
        timer_free(pool->timer);
        free(pool);
        return NULL;
}

static int on_timer(void *userdata)
{
        IdlePool *pool = userdata;
        uint64_t now = clock_boot(loop_clock(pool->loop));

        while (!list_empty(&pool->waiting)) {
                Idle *idle = container_of(pool->waiting.next, Idle, link);

                if (idle->until > now) {
                        timer_arm(pool->timer, idle->until);
                        break;
                }
                drop(idle);
        }
        return 0;
}

/* Nothing but TLS's own messages (tickets) may come while nobody asks. */
static bool is_quiet(Connection *connection)
{
        uint8_t byte;
        size_t n;

        return connection_recv(connection, &byte, 1, &n) == CONNECTION_E_AGAIN;
}

static int on_event(void *userdata, uint32_t events)
{
        Idle *idle = userdata;

        if (events & (EPOLLERR | EPOLLHUP) || !is_quiet(idle->connection))
                drop(idle);
        return 0;
}

static const ConnectionCallbacks callbacks = { .event = on_event };

static bool same(const HttpAuthority *a, const HttpAuthority *b)
{
        return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* The last one in is the one that most likely still stands. */
Connection *idle_pool_take(IdlePool *pool, const HttpAuthority *authority)
{
        for (List *node = pool->waiting.prev; node != &pool->waiting;) {
                Idle *idle = container_of(node, Idle, link);
                Connection *connection;

                node = node->prev;
                if (!same(connection_authority(idle->connection), authority))
                        continue;
                connection = unlink_idle(idle);
                if (is_quiet(connection))
                        return connection;
                connection_free(connection);
        }
        return NULL;
}

int idle_pool_put(IdlePool *pool, Connection *connection)
{
        Idle *idle = calloc(1, sizeof(*idle));
        int r;

        r = idle ? connection_watch(connection, EPOLLIN) : -ENOMEM;
        if (r < 0) {
                connection_free(connection);
                free(idle);
                return r;
        }
        *idle = (Idle){ .pool = pool, .connection = connection };
        idle->until = clock_boot(loop_clock(pool->loop)) + IDLE_POOL_USEC;
        connection_set_owner(connection, &callbacks, idle);
        if (list_empty(&pool->waiting))
                timer_arm(pool->timer, idle->until);
        list_append(&pool->waiting, &idle->link);
        if (++pool->n > IDLE_POOL_MAX)
                drop(container_of(pool->waiting.next, Idle, link));
        return 0;
}

void idle_pool_sever(IdlePool *pool)
{
        LIST_FOREACH(node, &pool->waiting)
                connection_sever(container_of(node, Idle, link)->connection);
}

size_t idle_pool_size(const IdlePool *pool)
{
        return pool->n;
}
