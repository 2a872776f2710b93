#!/bin/sh
# Builds mcpcred and shows its main job: a sandboxed child uses an API key and a GitHub App that never enter the
# sandbox. Broker, store and upstreams are this script's own, on this machine. Your keyring, your configuration
# and the network are left alone, and no name service is asked.
set -eu
cd "$(dirname "$0")/.."
tree=$PWD
build=${MCPCRED_BUILD:-$tree/build}

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] && [ -z "${NO_COLOR-}" ] || step() { printf '\n%s\n' "$*"; }

step "1. Packages and build"
examples/install-packages.sh sandbox
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM
echo "Building in $build; the first time takes about half a minute."
[ -f "$build/build.ninja" ] || meson setup "$build" -Dtests=false >"$log" 2>&1 || { cat "$log"; exit 1; }
ninja -C "$build" >"$log" 2>&1 || { cat "$log"; exit 1; }
rm -f "$log"

here=$(mktemp -d)
mkdir -m 700 "$here/run" "$here/state" "$here/config" "$here/upstreams"
processes= session=
clean_up() {
        trap - EXIT INT TERM
        exec 9<&- 2>/dev/null || :
        for pid in $session $processes; do
                kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || :
        done
        rm -rf "$here"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# Where the broker is gone, no installed one is to be started in its place.
mcpcred() { "$build/client-lib/cli/mcpcred" --runtime "$here/run" --broker "$here/none" "$@"; }
indent() { sed 's/^/    /'; }

step "2. Upstreams: stand-ins of the APIs of OpenAI and GitHub, over HTTPS, on this machine"
mkfifo "$here/ready"
/usr/bin/python3 -B tests/support/upstreams_standin.py --dir "$here/upstreams" --until-signal \
        >"$here/ready" 2>"$here/upstreams.log" </dev/null &
processes=$!
read -r ready <"$here/ready"
port=$(printf '%s' "$ready" | sed 's/.*"port": *\([0-9]*\).*/\1/')
/usr/bin/python3 -B tests/support/connect_proxy.py --to "$port" >"$here/ready" 2>>"$here/upstreams.log" </dev/null &
processes="$! $processes"
read -r proxy_port <"$here/ready"
# An API key, made up here. Like every secret it is never an argument.
(umask 077 && od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$here/api-key")
printf '{"host": "api.openai.com", "name": "quickstart", "value": "%s"}' "$(cat "$here/api-key")" |
        curl -sS --unix-socket "$here/upstreams/admin.sock" --data-binary @- -o /dev/null http://admin/add_vendor_key
echo "They have their real names. A proxy like a company's (upstream_proxy below) leads the broker to them."

step "3. A private broker"
cat >"$here/config/mcpcred.conf" <<CONF
[broker]
store          = memory
ca_file        = $here/upstreams/ca.pem
upstream_proxy = http://127.0.0.1:$proxy_port

[profile openai]
secret = openai
preset = openai
allow  = GET,POST api.openai.com /v1/**
deny   = *        api.openai.com /v1/files/**
on_leak = notify

[profile triage]
secret       = github
repositories = octo/hello
permissions  = contents:read
allow        = GET api.github.com /repos/octo/**
ttl          = 10m
on_leak      = notify

[profile strict]
secret = openai
preset = openai
CONF
chmod 600 "$here/config/mcpcred.conf"
indent <"$here/config/mcpcred.conf"
echo "\`on_leak = notify\` is for this demonstration, whose child does what it should not, and is to go on with that."
"$build/broker/supervisor/mcpcredd" --foreground --runtime "$here/run" --state "$here/state" \
        --config "$here/config" --libexec "$build/libexec" 2>"$here/broker.log" </dev/null &
broker=$!
processes="$broker $processes"
tries=0
until mcpcred status >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ $tries -gt 100 ] || ! kill -0 $broker 2>/dev/null; then
                cat "$here/broker.log"
                exit 1
        fi
        sleep 0.1
done
echo "It runs, as several processes of which none can do all:"
mcpcred status | indent

step "4. The long-lived secrets go to the broker, and nowhere else: an API key, and the private key of a GitHub App"
mcpcred add openai --provider static --host api.openai.com --file "$here/api-key"
mcpcred add github --app-id 1001 --installation-id 42 --file "$here/upstreams/app-key.pem"

step "5. A sandboxed child. It has no network but the session's proxy, and handles in place of credentials"
sandbox=--sandbox
if ! /usr/bin/bwrap --unshare-all --ro-bind / / true 2>"$here/bwrap.log"; then
        echo "This system allows no sandbox: $(head -n 1 "$here/bwrap.log")"
        echo "So the child is in none. It takes the session's proxy because its variables say so, and sees all that you see."
        sandbox=
fi
# It is a script here; it would be an MCP server. Its curl is as it comes.
cat >"$here/child.sh" <<'EOF'
ask() { # WHAT TOKEN CURL-ARGUMENT...
        what=$1 token=$2
        shift 2
        answer=$(curl -sS -m 10 -A quickstart ${token:+-H "Authorization: Bearer $token"} -o /dev/null \
                -w '%{http_code} %header{x-mcpcred-reason}' "$@" 2>&1) ||
                answer=$(printf '%s' "$answer" | sed -n 's/^.*curl: ([0-9]*) //p')
        printf '    %-42s %s\n' "$what" "$answer"
}
openai=https://api.openai.com/v1 github=https://api.github.com/repos
ask "OpenAI, the models" "$OPENAI_API_KEY" $openai/models
ask "OpenAI, files: the profile denies them" "$OPENAI_API_KEY" $openai/files
ask "OpenAI, admin keys: the preset does" "$OPENAI_API_KEY" $openai/organization/admin_api_keys
ask "GitHub, its repository, by a minted token" "$GITHUB_PERSONAL_ACCESS_TOKEN" $github/octo/hello
ask "GitHub, one that this token is not for" "$GITHUB_PERSONAL_ACCESS_TOKEN" $github/octo/world
ask "GitHub, with the handle for OpenAI" "$OPENAI_API_KEY" $github/octo/hello
ask "the handle in another header" "" -H "X-Note: $OPENAI_API_KEY" $openai/models
ask "the handle in a body" "$OPENAI_API_KEY" -d "{\"note\": \"$OPENAI_API_KEY\"}" $openai/chat/completions
ask "another host" "" https://example.com/
[ -z "$SANDBOX" ] || ask "another host, past the proxy" "" --noproxy '*' https://example.com/
echo "OPENAI_API_KEY=$OPENAI_API_KEY"
head -c 1000000 /dev/zero | ask "the upload that was under way" "$OPENAI_API_KEY" -m 60 --limit-rate 20k \
        -H 'Expect:' -X POST -T - $openai/chat/completions
ask "OpenAI, the models, as before" "$OPENAI_API_KEY" $openai/models
echo done
EOF
mkfifo "$here/from"
"$build/client-lib/cli/mcpcred" --runtime "$here/run" --broker "$here/none" exec openai,triage \
        --env SANDBOX="$sandbox" $sandbox ${sandbox:+--ro "$here/child.sh"} -- sh "$here/child.sh" </dev/null >"$here/from" &
session=$!
exec 9<"$here/from"
show_until() { # PATTERN: what it is for, is in $line then
        while IFS= read -r line <&9; do
                case $line in $1) return 0 ;; esac
                printf '%s\n' "$line"
        done
        echo "The child ended too early." >&2
        exit 1
}
show_until 'OPENAI_API_KEY=*'
handle=${line#*=}

step "6. The child's OPENAI_API_KEY is $(printf %.10s "$handle")...: a handle. Anywhere else it is worth nothing"
direct() { # KEY-FILE: to the upstream, without the proxy
        printf 'header = "Authorization: Bearer %s"\n' "$(cat "$1")" | curl -sS -m 10 -K - -A quickstart -o /dev/null \
                -w '%{http_code}\n' --noproxy '*' --cacert "$here/upstreams/ca.pem" \
                --connect-to "api.openai.com:443:127.0.0.1:$port" https://api.openai.com/v1/models
}
(umask 077 && printf %s "$handle" >"$here/handle")
echo "    straight to OpenAI, with the key            $(direct "$here/api-key")"
echo "    straight to OpenAI, with the handle         $(direct "$here/handle")"
mcpcred exec openai $sandbox -- sh -c 'curl -sS -A quickstart -o /dev/null -K - -w "$0" https://api.openai.com/v1/models' \
        "    in another session of the same profile      %{http_code} %header{x-mcpcred-reason}\n" <<EOF
header = "Authorization: Bearer $handle"
EOF

step "7. What the broker knows of it, and what it wrote down"
mcpcred leases | indent
echo "    A handle is one lease, and the credential behind it another."
echo "    From the audit log, what was denied:"
mcpcred audit tail --lines 40 --json | sed -n 's/.*"verdict":"deny".*"detail":"\([^"]*\)".*/    \1/p' | cut -c1-116

step "8. Revoked: when the command returns, nothing further leaves with these credentials"
mcpcred revoke --all | indent
show_until done
exec 9<&-
wait "$session" || :
session=

step "9. Without on_leak, the first handle in a wrong place ends its session"
"$build/client-lib/cli/mcpcred" --runtime "$here/run" --broker "$here/none" exec strict $sandbox -- sh -c '
        ask() { curl -sS -m 10 -A quickstart -o /dev/null -w "    %{http_code} %header{x-mcpcred-reason}\n" "$@" 2>/dev/null || :; }
        ask -H "X-Note: $OPENAI_API_KEY" https://api.openai.com/v1/models
        i=0
        while ask -H "Authorization: Bearer $OPENAI_API_KEY" https://api.openai.com/v1/models | grep -q 200 && [ $i -lt 100 ]; do
                i=$((i + 1))
                sleep 0.1
        done
        echo "    and then nothing any more"' 2>&1 </dev/null
mcpcred leak list --all | awk -v RS= '/ profile +strict/' | indent

step "10. The audit log is a chain; an edited line would be named"
mcpcred audit verify | indent

step "Done. The broker, the upstreams and their files are removed again."
echo "Next: \`mcpcred add --help\`, the man pages in docs/, and README.md for your own profile."
