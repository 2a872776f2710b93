#include "supervisor/providers.h"
#include "base/fd.h"
#include "base/list.h"
#include <sys/socket.h>

typedef struct Provider {
        List link;
        Providers *providers;
        Child *child;
        Timer *timer;
} Provider;

struct Providers {
        ProvidersConfig config;
        List running;
        size_t n;
        Provider *spare;  /* started and confined, with no edge yet; NULL: none */
        Timer *spare_due; /* to start it, and later to let an unused one go */
};

static Provider *provider_free(Provider *provider)
{
        if (!provider)
                return NULL;
        if (provider->link.next != &provider->link)
                provider->providers->n--;
        if (provider->providers && provider->providers->spare == provider)
                provider->providers->spare = NULL;
        list_remove(&provider->link);
        child_free(provider->child);
        timer_free(provider->timer);
        free(provider);
        return NULL;
}
DEFINE_CLEANUP(Provider *, provider_free);

static int on_spare_due(void *userdata);

int providers_new(Providers **ret, const ProvidersConfig *config)
{
        Providers *providers = calloc(1, sizeof(*providers));
        int r;

        if (!providers)
                return -ENOMEM;
        r = timer_new(&providers->spare_due, config->context->loop, on_spare_due, providers);
        if (r < 0) {
                free(providers);
                return r;
        }
        providers->config = *config;
        if (providers->config.life_usec == 0)
                providers->config.life_usec = PROVIDERS_LIFE_USEC;
        list_init(&providers->running);
        *ret = providers;
        return 0;
}

Providers *providers_free(Providers *providers)
{
        if (!providers)
                return NULL;
        while (!list_empty(&providers->running))
                provider_free(container_of(providers->running.next, Provider, link));
        provider_free(providers->spare);
        timer_free(providers->spare_due);
        free(providers);
        return NULL;
}

static int on_gone(void *userdata, UNUSED Child *child)
{
        provider_free(userdata);
        return 0;
}

static int on_overdue(void *userdata)
{
        Provider *provider = userdata;

        log_line(provider->providers->config.context->log, LOG_LEVEL_WARNING,
                 child_name(provider->child), "has run for too long; it is killed");
        child_kill(provider->child);
        return 0;
}

static int provider_new(Provider **ret, Providers *providers)
{
        _cleanup_(provider_freep) Provider *provider = calloc(1, sizeof(*provider));
        const ChildConfig config = {
                .context = providers->config.context,
                .name = "provider",
                .executable = providers->config.executable,
                .arguments = providers->config.arguments,
                .environment = providers->config.environment,
                .in = &interface_from_worker,
                .out = &interface_to_worker,
                .gone = on_gone,
                .userdata = provider,
        };
        int r;

        if (!provider)
                return -ENOMEM;
        list_init(&provider->link);
        provider->providers = providers;
        r = child_new(&provider->child, &config);
        if (r == 0)
                r = timer_new(&provider->timer, providers->config.context->loop, on_overdue,
                              provider);
        if (r < 0)
                return r;
        *ret = take_ptr(provider);
        return 0;
}

static int start_process(Provider **ret, Providers *providers)
{
        _cleanup_(provider_freep) Provider *provider = NULL;
        int r;

        r = provider_new(&provider, providers);
        if (r == 0)
                r = child_start(provider->child);
        if (r < 0)
                return r;
        *ret = take_ptr(provider);
        return 0;
}

/* Where there is none, the next one is started; one that nobody wanted for so long is let go. */
static int on_spare_due(void *userdata)
{
        Providers *providers = userdata;

        if (providers->spare) {
                providers_drop_spare(providers);
                return 0;
        }
        timer_arm_after(providers->spare_due, PROVIDERS_SPARE_USEC);
        /* Without a spare the next operation starts its own, and says what is wrong. */
        if (start_process(&providers->spare, providers) < 0)
                timer_disarm(providers->spare_due);
        return 0;
}

void providers_drop_spare(Providers *providers)
{
        timer_disarm(providers->spare_due);
        providers->spare = provider_free(providers->spare);
}

int providers_start(Providers *providers, pid_t *ret_pid, int *ret_fd)
{
        _cleanup_(provider_freep) Provider *provider = NULL;
        _cleanup_(fd_closep) int ours = -1, theirs = -1;
        int pair[2], r;

        if (providers->n >= PROVIDERS_MAX)
                return PROVIDERS_E_BUSY;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return error_errno();
        ours = pair[0];
        theirs = pair[1];
        provider = take_ptr(providers->spare);
        r = provider ? 0 : start_process(&provider, providers);
        if (r == 0)
                r = child_attach(provider->child, TO_WORKER_ATTACH, &(AttachRequest){ .peer = ROLE_VAULT }, theirs);
        if (r < 0)
                return r;
        timer_arm_after(providers->spare_due, PROVIDERS_SPARE_DELAY_USEC);
        timer_arm_after(provider->timer, providers->config.life_usec);
        *ret_pid = child_pid(provider->child);
        *ret_fd = take_fd(&ours);
        list_append(&providers->running, &provider->link);
        providers->n++;
        provider = NULL; /* freed when it ends */
        return 0;
}

void providers_stop(Providers *providers, pid_t pid)
{
        LIST_FOREACH(node, &providers->running)
        {
                Provider *provider = container_of(node, Provider, link);

                if (child_pid(provider->child) == pid)
                        child_end(provider->child);
        }
}

void providers_stop_all(Providers *providers)
{
        LIST_FOREACH(node, &providers->running)
        child_end(container_of(node, Provider, link)->child);
}
