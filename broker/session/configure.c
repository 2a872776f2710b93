#include "session/configure.h"
#include "session/client.h"
#include "session/listener.h"

/* A leaf that cannot be used leaves the session without TLS, and says so. */
static int take_leaf(SessionProcess *session, const SessionConfigureReply *reply)
{
        TlsServer *tls = NULL;
        int r;

        if (session->tls && tls_server_has(session->tls, reply->certificate))
                return 0;
        if (reply->certificate.size > 0 && reply->key) {
                r = tls_server_new(&tls, reply->certificate, secret_slice(reply->key));
                if (r < 0)
                        return r;
                if (r > 0)
                        role_log(&session->role, LOG_LEVEL_ERROR, "the certificate for this session cannot be used");
        }
        tls_server_unref(session->tls);
        session->tls = tls;
        return 0;
}

static int take_reply(SessionProcess *session, SessionConfigureReply *reply)
{
        Grants *grants;
        int r = grants_new(&grants, reply);

        if (r < 0)
                return r;
        grants_unref(session->grants);
        session->grants = grants;
        r = take_leaf(session, reply);
        client_wake_all(session);
        return r < 0 ? r : listener_wake_all(session);
}

static void try_again(SessionProcess *session)
{
        uint64_t wait = CONFIGURE_RETRY_USEC << MIN(session->configure_failures, 16U);

        session->configure_failures++;
        timer_arm_after(session->configure_timer, MIN(wait, CONFIGURE_RETRY_MAX_USEC));
}

static int on_configured(void *userdata, const Reply *reply)
{
        SessionProcess *session = userdata;
        int r;

        session->configuring = NULL;
        if (reply->fault != FAULT_NONE) {
                role_log(&session->role, LOG_LEVEL_WARNING, "the vault gives no grants: %s",
                         reply->message ? reply->message : fault_info(reply->fault)->sentence);
                try_again(session);
                return 0;
        }
        r = take_reply(session, reply->body);
        if (r < 0)
                return r;
        /* An egress that dies at once would be started as fast as it dies. */
        if (session->configured_at + CONFIGURE_RETRY_MAX_USEC < clock_boot(loop_clock(session->role.loop)))
                session->configure_failures = 0;
        session->configured_at = clock_boot(loop_clock(session->role.loop));
        if (session->lost_meanwhile)
                try_again(session);
        session->lost_meanwhile = false;
        return 0;
}

static int ask(SessionProcess *session)
{
        static const Empty nothing = { 0 };

        return channel_call(session->vault, SESSION_VAULT_CONFIGURE, &nothing, NULL, 0, CONFIGURE_TIMEOUT_USEC,
                            on_configured, session, &session->configuring);
}

static int on_timer(void *userdata)
{
        SessionProcess *session = userdata;

        return session->vault && !session->configuring ? ask(session) : 0;
}

int configure_want(SessionProcess *session)
{
        session->proxies = true;
        return session->vault && !session->configuring && !session->grants ? ask(session) : 0;
}

int configure_again(SessionProcess *session)
{
        if (!session->proxies || !session->vault)
                return 0;
        /* The first answer too may be on its way: it says nothing of what died behind it. */
        if (session->configuring)
                session->lost_meanwhile = true;
        else if (!session->grants)
                return configure_want(session);
        else
                try_again(session);
        return 0;
}

int configure_init(SessionProcess *session)
{
        return timer_new(&session->configure_timer, session->role.loop, on_timer, session);
}

void configure_deinit(SessionProcess *session)
{
        if (session->configuring)
                call_cancel(session->configuring);
        session->configuring = NULL;
        session->configure_timer = timer_free(session->configure_timer);
        session->grants = grants_unref(session->grants);
        session->tls = tls_server_unref(session->tls);
}
