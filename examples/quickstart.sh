#!/bin/sh
# Builds mcpcred and shows its main job, with a private broker, a temporary store and a stand-in of
# GitHub on this machine. Your keyring, your configuration and the network are left alone.
set -eu
cd "$(dirname "$0")/.."
tree=$PWD
build=${MCPCRED_BUILD:-$tree/build}

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] && [ -z "${NO_COLOR-}" ] || step() { printf '\n%s\n' "$*"; }

step "1. Packages and build"
examples/install-packages.sh
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM
echo "Building in $build; the first time takes about half a minute."
[ -f "$build/build.ninja" ] || meson setup "$build" -Dtests=false >"$log" 2>&1 || { cat "$log"; exit 1; }
ninja -C "$build" >"$log" 2>&1 || { cat "$log"; exit 1; }
rm -f "$log"

here=$(mktemp -d)
mkdir -m 700 "$here/run" "$here/state" "$here/config" "$here/github"
broker= upstream= session=
clean_up() {
        trap - EXIT INT TERM
        exec 8>&- 9<&- 2>/dev/null || :
        for pid in $session $broker $upstream; do
                kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || :
        done
        rm -rf "$here"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

mcpcred() { "$build/client-lib/cli/mcpcred" --runtime "$here/run" "$@"; }

step "2. An upstream: a stand-in of the GitHub API, over HTTPS, on this machine"
mkfifo "$here/ready"
/usr/bin/python3 tests/support/github_standin.py --dir "$here/github" --name localhost --until-signal \
        >"$here/ready" 2>"$here/github.log" </dev/null &
upstream=$!
read -r ready <"$here/ready"
port=$(printf '%s' "$ready" | sed 's/.*"port": *\([0-9]*\).*/\1/')
api=https://localhost:$port/api/v3
echo "It listens at $api, has a GitHub App with a private key, and forgets a token when told to."

step "3. A private broker"
cat >"$here/config/mcpcred.conf" <<EOF
[broker]
store   = memory
ca_file = $here/github/ca.pem

[profile triage]
secret       = github
repositories = octo/hello
permissions  = contents:read
ttl          = 10m
deliver      = env
env          = GITHUB_PERSONAL_ACCESS_TOKEN
EOF
chmod 600 "$here/config/mcpcred.conf"
sed 's/^/    /' "$here/config/mcpcred.conf"
"$build/broker/supervisor/mcpcredd" --foreground --runtime "$here/run" --state "$here/state" \
        --config "$here/config" --libexec "$build/libexec" 2>"$here/broker.log" </dev/null &
broker=$!
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
mcpcred status | sed 's/^/    /'

step "4. The long-lived secret: the App's private key goes to the broker, and nowhere else"
mcpcred add github --base-url "$api" --app-id 1001 --installation-id 42 --file "$here/github/app-key.pem"

step "5. A session of at most ten minutes: a child process gets a token to read one repository"
# It is a script here; it would be an MCP server in a sandbox. What it uses is in its environment.
cat >"$here/child.sh" <<'EOF'
ask() { # METHOD PATH: the token goes through a pipe, since arguments are for all to see
        printf 'header = "Authorization: Bearer %s"\n' "$GITHUB_PERSONAL_ACCESS_TOKEN" |
                curl -sS -K - --cacert "$CA" -A quickstart -o /dev/null -w '%{http_code}' -X "$1" "$API$2"
}
echo "    token in the child:     ${#GITHUB_PERSONAL_ACCESS_TOKEN} characters, never shown"
echo "    GET  octo/hello:        $(ask GET /repos/octo/hello)   its own repository"
echo "    GET  octo/world:        $(ask GET /repos/octo/world)   another one: hidden from it"
echo "    POST octo/hello/issues: $(ask POST /repos/octo/hello/issues)   not its permission"
echo "ready"
read -r _
echo "    GET  octo/hello:        $(ask GET /repos/octo/hello)   the same request, after the revocation"
echo "done"
EOF
mkfifo "$here/to" "$here/from"
mcpcred exec triage --env API="$api" --env CA="$here/github/ca.pem" -- sh "$here/child.sh" <"$here/to" >"$here/from" &
session=$!
exec 8>"$here/to" 9<"$here/from"
show_until() {
        while read -r line <&9; do
                [ "$line" = "$1" ] && return 0
                printf '    %s\n' "$line"
        done
        echo "The child ended too early." >&2
        exit 1
}
show_until ready

step "6. What the broker knows of it"
mcpcred leases | sed 's/^/    /'
echo "GitHub's tokens live for an hour; the broker revokes this one with its session."

step "7. Revoked: when the command returns, the upstream refuses the token"
mcpcred revoke --profile triage | sed 's/^/    /'
echo go >&8
show_until done
exec 8>&- 9<&-
wait "$session" || :
session=

step "8. The audit log is a chain; an edited line would be named"
mcpcred audit verify | sed 's/^/    /'

step "Done. The broker, the upstream and their files are removed again."
echo "Next: \`mcpcred add --help\`, the man pages in docs/, and README.md for your own profile."
