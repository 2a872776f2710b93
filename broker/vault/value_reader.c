#include "vault/value_reader.h"
#include "base/fd.h"
#include <sys/epoll.h>

/* The socket is filled before it is passed along, so this is generous. */
#define DEADLINE_USEC (5 * USEC_PER_SEC)

struct ValueReader {
        int fd;
        Source *source;
        Timer *timer;
        Secret *value;
        ValueDone done;
        void *userdata;
};

ValueReader *value_reader_free(ValueReader *reader)
{
        if (!reader)
                return NULL;
        source_free(reader->source);
        timer_free(reader->timer);
        secret_free(reader->value);
        fd_close(reader->fd);
        free(reader);
        return NULL;
}

static int finish(ValueReader *reader, Fault fault, const char *message)
{
        ValueDone done = reader->done;
        void *userdata = reader->userdata;
        Secret *value = fault == FAULT_NONE ? take_ptr(reader->value) : NULL;
        Failure failure = { 0 };

        if (fault != FAULT_NONE)
                failure_set(&failure, fault, message ? "%s" : NULL, message);
        value_reader_free(reader);
        return done(userdata, value, &failure);
}

static int on_ready(void *userdata, UNUSED uint32_t events)
{
        ValueReader *reader = userdata;
        int r = secret_receive(reader->value, reader->fd);

        if (r == SECRET_E_AGAIN)
                return 0;
        if (r == SECRET_E_FULL)
                return finish(reader, FAULT_INVALID_PARAMETER, "The value is too long.");
        if (r)
                return finish(reader, FAULT_INVALID_PARAMETER, "The value could not be read from the descriptor.");
        secret_trim_newline(reader->value);
        if (secret_size(reader->value) == 0)
                return finish(reader, FAULT_INVALID_PARAMETER, "The value is empty.");
        return finish(reader, FAULT_NONE, NULL);
}

static int on_deadline(void *userdata)
{
        return finish(userdata, FAULT_TIMEOUT, "The value did not come; its descriptor must be shut down for writing.");
}

void value_reader_failure(Failure *failure, int r)
{
        if (r == VALUE_READER_E_TYPE)
                failure_set(failure, FAULT_INVALID_PARAMETER, "The value comes as a Unix stream socket.");
        else if (r == VALUE_READER_E_FULL)
                failure_set(failure, FAULT_BUSY, "The broker's memory for secrets is full.");
        else
                failure_set(failure, FAULT_BUSY, "The value cannot be read now.");
}

int value_reader_new(ValueReader **ret, Loop *loop, Arena *arena, int fd, size_t max, ValueDone done, void *userdata)
{
        ValueReader *reader;
        int r;

        if (!fd_is_stream_socket(fd)) {
                fd_close(fd);
                return VALUE_READER_E_TYPE;
        }
        reader = calloc(1, sizeof(*reader));
        if (!reader) {
                fd_close(fd);
                return -ENOMEM;
        }
        reader->fd = fd;
        reader->done = done;
        reader->userdata = userdata;
        r = secret_new(&reader->value, arena, max) ? VALUE_READER_E_FULL : 0;
        if (r == 0)
                r = timer_new(&reader->timer, loop, on_deadline, reader);
        if (r == 0)
                r = source_new(&reader->source, loop, fd, EPOLLIN, on_ready, reader);
        if (r) {
                value_reader_free(reader);
                return r;
        }
        timer_arm_after(reader->timer, DEADLINE_USEC);
        *ret = reader;
        return 0;
}
