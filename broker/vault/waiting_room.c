#include "vault/waiting_room.h"

/* A keyring that is slow to open is still worth waiting for; a client's own deadline is longer. */
#define WAIT_USEC (15 * USEC_PER_SEC)
#define WAITING_MAX 256U

typedef struct Waiting {
        List link;
        WaitingRun run;
        void *userdata;
        Request *request;
        bool store; /* it needs the store */
} Waiting;

struct WaitingRoom {
        Vault *vault;
        List waiting;
        size_t n_waiting;
        Timer *timer;
        bool over; /* the wait took too long: whoever comes is told what is the matter */
};

static bool is_up(const WaitingRoom *room, bool store)
{
        const Vault *vault = room->vault;

        if (room->over)
                return true;
        return vault->recovered && vault->policy && (!store || vault->store.ready || failed(&vault->store.problem));
}

/* The first that need not wait any longer. Looked for anew each time: what runs may change the list. */
static Waiting *next_free(WaitingRoom *room)
{
        LIST_FOREACH(node, &room->waiting) {
                Waiting *waiting = container_of(node, Waiting, link);

                if (is_up(room, waiting->store))
                        return waiting;
        }
        return NULL;
}

static int let_in(WaitingRoom *room)
{
        Waiting *waiting;
        int r = 0;

        while (r >= 0 && (waiting = next_free(room))) {
                Waiting copy = *waiting;

                list_remove(&waiting->link);
                room->n_waiting--;
                free(waiting);
                r = request_is_live(copy.request) ? copy.run(copy.userdata, copy.request)
                                                  : request_fail(copy.request, FAULT_UNAVAILABLE, NULL);
        }
        if (room->n_waiting == 0)
                timer_disarm(room->timer);
        return r;
}

static int on_timer(void *userdata)
{
        WaitingRoom *room = userdata;

        room->over = true;
        return let_in(room);
}

int waiting_room_new(WaitingRoom **ret, Vault *vault)
{
        WaitingRoom *room = calloc(1, sizeof(*room));
        int r;

        if (!room)
                return -ENOMEM;
        room->vault = vault;
        list_init(&room->waiting);
        r = timer_new(&room->timer, vault->role.loop, on_timer, room);
        if (r < 0) {
                free(room);
                return r;
        }
        *ret = room;
        return 0;
}

WaitingRoom *waiting_room_free(WaitingRoom *room)
{
        if (!room)
                return NULL;
        while (!list_empty(&room->waiting)) {
                Waiting *waiting = container_of(room->waiting.next, Waiting, link);

                list_remove(&waiting->link);
                if (request_fail(waiting->request, FAULT_UNAVAILABLE, NULL) < 0)
                        room->over = true; /* the process is ending anyway */
                free(waiting);
        }
        timer_free(room->timer);
        free(room);
        return NULL;
}

int waiting_room_enter(WaitingRoom *room, WaitingRun run, void *userdata, Request *request, bool store)
{
        Waiting *waiting;

        if (is_up(room, store))
                return run(userdata, request);
        if (room->n_waiting >= WAITING_MAX)
                return request_fail(request, FAULT_BUSY, "The broker is still starting, and many wait for it.");
        waiting = calloc(1, sizeof(*waiting));
        if (!waiting)
                return -ENOMEM;
        *waiting = (Waiting){ .run = run, .userdata = userdata, .request = request, .store = store };
        if (room->n_waiting++ == 0)
                timer_arm_after(room->timer, WAIT_USEC);
        list_append(&room->waiting, &waiting->link);
        return 0;
}

int waiting_room_look(WaitingRoom *room)
{
        if (!room)
                return 0;
        if (is_up(room, true))
                room->over = false;
        return let_in(room);
}
