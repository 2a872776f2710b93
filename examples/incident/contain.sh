#!/bin/sh
# Contains a compromise, and says what is left to do.
#
#   contain.sh session ID          one run of one server
#   contain.sh secret NAME...      everything that was made with these secrets, and the secrets themselves
#   contain.sh provider NAME       the same for all secrets of one kind: github_app, static, ...
#   contain.sh everything          the same for all
#
# It revokes first, and nothing further leaves with what was revoked once that has been said. Then it replaces secrets:
# those that a session was handed raw, and with the other forms every one, where its upstream lets the broker make a new
# value. It never asks, and may be repeated: what is revoked or was replaced already is left alone.
#
# Status 0: contained, nothing is left to do; 3: contained here, and a person has to do what is listed; 8: contained
# here, and the upstream has yet to confirm, for which the broker goes on trying; 1: something was not done, see
# "FAILED"; 2: usage. MCPCRED is the command to use, if not mcpcred. Wants jq or python3.
set -eu
mcpcred=${MCPCRED:-mcpcred}
RECENT=3600 # seconds: a secret that was replaced within them is not replaced again

usage() {
        sed -n '4,7s/^# *//p' "$0" >&2
        exit 2
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$work/todo"
failed=no pending=no

did() { echo "done: $*"; }
note() { echo "      $*"; }
todo() { echo "$*" >>"$work/todo"; }
fail() {
        echo "FAILED: $*"
        failed=yes
}

# rows FILE ARRAY FIELD...: a line for each record of the array, fields between tabs, "-" where there is nothing.
rows() {
        file=$1 array=$2
        shift 2
        if command -v jq >/dev/null; then
                jq -r --arg array "$array" '.[$array][] | . as $row | [$ARGS.positional[] | $row[.] |
                        if . == null or . == "" then "-" else tostring end] | @tsv' --args "$@" <"$file"
        else
                python3 -c '
import json, sys
for row in json.load(sys.stdin)[sys.argv[1]]:
    cells = [row.get(name) for name in sys.argv[2:]]
    print("\t".join("-" if cell in (None, "") else str(cell).lower() if cell in (True, False) else str(cell)
                    for cell in cells))' "$array" "$@" <"$file"
        fi
}

# ask FILE ARGUMENT...: the answer of mcpcred in JSON. Its status; its words are in $work/words.
ask() {
        file=$1
        shift
        status=0
        "$mcpcred" --json "$@" >"$file" 2>"$work/words" </dev/null || status=$?
        return "$status"
}

words() { head -n 1 "$work/words" | sed 's/^mcpcred: //'; }

# What to do about it, as mcpcred says it; nothing where it says nothing.
remedy() { sed -n '2s/^ *//p' "$work/words"; }

# count OUTCOME WORDS
count() {
        n=$(grep -cx "$1" "$work/outcomes" || :)
        [ "$n" -eq 0 ] || note "$n $2"
}

# revoke ARGUMENT...: what counts first. False: there is nothing of that name.
revoke() {
        status=0
        ask "$work/revoked" revoke "$@" || status=$?
        case $status in
        0 | 8) ;;
        *)
                fail "nothing was revoked: $(words)"
                case $status in
                6)
                        note "Look what there is: $mcpcred sessions --all; $mcpcred list. \"$0 everything\" needs no name."
                        return 1
                        ;;
                *) note "$(remedy)" && note "Then again: $mcpcred revoke $*" ;;
                esac
                exit 1
                ;;
        esac
        rows "$work/revoked" credentials outcome >"$work/outcomes"
        did "revoked ($*): credentials: $(wc -l <"$work/outcomes")"
        count confirmed "confirmed by the upstream"
        count pending "yet to be confirmed by the upstream"
        count impossible_rotate "handed out raw: only a new secret ends it"
        count none "of no meaning to any upstream"
        if [ "$status" -eq 8 ]; then
                pending=yes
                note "The upstream has yet to confirm some; the broker goes on trying: $mcpcred leases"
        fi
}

# replace NAME: by the broker where it can, else by a person.
replace() {
        status=0
        ask "$work/plan" rotate "$1" --plan || status=$?
        if [ "$status" -ne 0 ]; then
                fail "secret $1 was not replaced: $(words)"
                return
        fi
        rows "$work/plan" steps made_by_provider message >"$work/steps"
        made=$(tail -n 1 "$work/steps" | cut -f 1)
        if [ "$made" != true ]; then
                todo "secret $1: $(tail -n 1 "$work/steps" | cut -f 2)"
                todo "    then: $mcpcred rotate $1 --now"
                return
        fi
        ask "$work/rotated" rotate "$1" --now || status=$?
        case $status in
        0) did "replaced secret $1" ;;
        8)
                did "replaced secret $1; its old value is still to die at the upstream"
                pending=yes
                ;;
        *)
                fail "secret $1 was not replaced: $(words)"
                todo "secret $1: $mcpcred rotate $1 --now"
                ;;
        esac
}

# The secrets whose values the session has seen, as far as they are still in use: the lease is of the generation that
# the secret has now.
exposed_by_session() {
        ask "$work/leases" leases --all --session "$1" || return 0
        rows "$work/leases" leases outcome secret generation | while read -r outcome secret generation; do
                [ "$outcome" = impossible_rotate ] || continue
                rows "$work/secrets" secrets name generation | grep -qx "$secret	$generation" && echo "$secret"
        done | sort -u
}

# choose PROVIDER [FILE]: what is to be replaced, into $work/replace: of that provider ("-": any), and named in the file.
# What was replaced just now is left alone, so that this may be repeated; that it was before the leak, only a person knows.
choose() {
        before=$(date -u -d "-$RECENT seconds" +%Y-%m-%dT%H:%M:%SZ)
        : >"$work/replace"
        rows "$work/secrets" secrets name provider rotated | while read -r name provider rotated; do
                [ "$1" = - ] || [ "$1" = "$provider" ] || continue
                [ $# -eq 1 ] || grep -qxF -e "$name" "$2" || continue
                if [ "$rotated" = - ] || [ "$(printf '%s\n%s\n' "$rotated" "$before" | sort | head -n 1)" = "$rotated" ]; then
                        echo "$name" >>"$work/replace"
                else
                        note "secret $name was replaced within the last hour, at $rotated, and is left alone."
                        note "If it got out after that: $mcpcred rotate $name --now"
                fi
        done
}

list_secrets() {
        ask "$work/secrets" list || {
                fail "the secrets cannot be listed: $(words)"
                exit 1
        }
}

[ $# -ge 1 ] || usage
what=$1
shift
case $what in
session)
        [ $# -eq 1 ] || usage
        revoke --session "$1" || exit 1
        list_secrets
        exposed_by_session "$1" >"$work/replace"
        ;;
secret)
        [ $# -ge 1 ] || usage
        # A name that is not there does not keep the others from being contained.
        : >"$work/named"
        for name in "$@"; do
                if revoke --secret "$name"; then
                        echo "$name" >>"$work/named"
                fi
        done
        list_secrets
        choose - "$work/named"
        ;;
provider)
        [ $# -eq 1 ] || usage
        revoke --provider "$1" || exit 1
        list_secrets
        choose "$1"
        ;;
everything)
        [ $# -eq 0 ] || usage
        revoke --all || exit 1
        list_secrets
        choose -
        ;;
*) usage ;;
esac

while read -r name; do
        replace "$name"
done <"$work/replace"

if ask "$work/audit" audit verify; then
        did "the audit log is whole"
else
        fail "the audit log does not verify: $(words)"
        todo "keep a copy of the audit log, and see docs/incident-runbook.md"
fi

if [ -s "$work/todo" ]; then
        echo "to do by a person:"
        sed 's/^/      /' "$work/todo"
fi
[ "$failed" = no ] || exit 1
[ ! -s "$work/todo" ] || exit 3
[ "$pending" = no ] || exit 8
