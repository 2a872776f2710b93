#include "base/text.h"
#include "vault/revoke_op.h"
#include "vault/rows_secret.h"
#include "wire/provider_info.h"
#include <stdio.h>

/* Which leases were ever made with it is known for as long as they are kept. */
static bool is_on_record(const RevokeOp *op, Selection what)
{
        LeaseFilter filter = { .what = what };

        return rows_lease_any(op->vault->db, &filter);
}

static void check_profile(const RevokeOp *op, const char *name, Failure *failure)
{
        const Policy *policy = op->vault->policy;

        if (!(policy && policy_find(policy, name)) && !is_on_record(op, (Selection){ .profile = name }))
                failure_set(failure, FAULT_NOT_FOUND, "There is no profile %s, and nothing on record was given by it.", name);
}

static void check_secret(const RevokeOp *op, const char *name, Failure *failure)
{
        char provider[LIMIT_NAME + 1];
        int r = rows_secret_provider(op->vault->db, name, provider);

        if (r == DB_E_NOT_FOUND && is_on_record(op, (Selection){ .secret = name }))
                r = 0;
        if (r == DB_E_NOT_FOUND)
                failure_set(failure, FAULT_NOT_FOUND, "There is no secret %s, and nothing on record was made with it.", name);
        else
                (void)vault_db_failed(op->vault, r, failure);
}

static void check_provider(const RevokeOp *op, const char *name, Failure *failure)
{
        if (!provider_info(name) && !is_on_record(op, (Selection){ .provider = name }))
                failure_set(failure, FAULT_NOT_FOUND, "There is no provider %s, and nothing on record is of it.", name);
}

static void check_principal(const RevokeOp *op, uint64_t uid, Failure *failure)
{
        if (uid != op->vault->start.owner_uid && !rows_session_any(op->vault->db, uid))
                failure_set(failure, FAULT_NOT_FOUND, "No session of user %llu is on record.", (unsigned long long)uid);
}

static void check_session(const RevokeOp *op, const char *id, Failure *failure)
{
        if (!rows_session_exists(op->vault->db, id) && !is_on_record(op, (Selection){ .session = id }))
                failure_set(failure, FAULT_NOT_FOUND, "There is no session %s.", ident_is_valid(id, 's') ? id : "of that id");
}

static void invalid(Failure *failure, const char *field, const char *message)
{
        failure_set(failure, FAULT_INVALID_PARAMETER, "%s", message);
        (void)snprintf(failure->field, sizeof(failure->field), "%s", field);
}

static bool read_uid(const char *text, uint64_t *ret)
{
        return text_parse_u64(text, ret) == 0 && *ret < UINT32_MAX;
}

const char *revoke_reason(const Selection *what, char *detail, size_t size)
{
        char time[TEXT_TIME_SIZE] = "", uid[24] = "";
        bool more = what->provider || what->has_principal || what->since > 0;
        unsigned n = (what->session != NULL) + (what->profile != NULL) + (what->secret != NULL);

        detail[0] = '\0';
        if (n == 0 && !more)
                return "all";
        if (n == 1 && !more)
                return what->session ? "session" : what->profile ? "profile" : "secret";
        if (what->has_principal)
                (void)snprintf(uid, sizeof(uid), "%llu", (unsigned long long)what->principal);
        if (what->since > 0)
                text_time(what->since, time);
        (void)snprintf(detail, size, "%s%s%s%s%s%s", what->provider ? "provider=" : "", what->provider ? what->provider : "",
                       uid[0] ? " principal=" : "", uid, time[0] ? " since=" : "", time);
        return "selection";
}

bool revoke_select(const RevokeOp *op, const RevokeRequest *request, Selection *ret, Failure *failure)
{
        Selection what = {
                .session = request->session,
                .profile = request->profile,
                .secret = request->secret,
                .provider = request->provider,
                .since = request->since,
        };
        bool narrows = what.session || what.profile || what.secret || what.provider || request->principal ||
                       what.since > 0 || request->token_hash;

        if (request->all == narrows)
                invalid(failure, "all",
                        narrows ? "`all` excludes the other selectors." : "Say what is to be revoked: nothing is selected.");
        else if (request->principal && !read_uid(request->principal, &what.principal))
                invalid(failure, "principal", "`principal` is not the decimal number of a user.");
        what.has_principal = request->principal;
        if (!failed(failure) && what.session)
                check_session(op, what.session, failure);
        if (!failed(failure) && what.profile)
                check_profile(op, what.profile, failure);
        if (!failed(failure) && what.secret)
                check_secret(op, what.secret, failure);
        if (!failed(failure) && what.provider)
                check_provider(op, what.provider, failure);
        if (!failed(failure) && what.has_principal)
                check_principal(op, what.principal, failure);
        *ret = what;
        return !failed(failure);
}
