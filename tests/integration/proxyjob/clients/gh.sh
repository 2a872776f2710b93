#!/bin/sh
# GitHub's own command, which takes its token from GH_TOKEN. Prints one line a step.
set -u
cd "$(mktemp -d)"
HOME=$PWD
export HOME
echo "file: $(gh api repos/octo/hello/contents/README.md --jq .content | tr -d '\n' | base64 -d)"
echo "issue: $(gh api repos/octo/hello/issues -f title=From-gh --jq .title)"
if gh api repos/octo/plans/contents/README.md >/dev/null 2>err; then echo "other: reached"; else echo "other: refused"; fi
if gh api -X POST app/installations/42/access_tokens >/dev/null 2>err; then echo "token: given"; else echo "token: refused"; fi
