#!/bin/sh
# Clones a repository with a credential helper, commits, pushes, and tries another repository.
# The token is in GITHUB_TOKEN. Prints one line a step.
set -eu
cd "$(mktemp -d)"
HOME=$PWD
GIT_TERMINAL_PROMPT=0
export HOME GIT_TERMINAL_PROMPT
# shellcheck disable=SC2016  # the helper expands it
git config --global credential.https://github.com.helper \
        '!f() { echo username=x-access-token; echo "password=$GITHUB_TOKEN"; }; f'
git config --global user.name Test
git config --global user.email test@example.test

git clone --quiet https://github.com/octo/hello.git
echo "cloned: $(cat hello/README.md)"
cd hello
head -c 3000000 /dev/urandom >blob
echo "more" >>README.md
git add .
git commit --quiet -m "$1"
# The first attempt is without a credential, and too large to be held in memory and sent again by git.
git push --quiet origin main
echo "pushed: $(git ls-remote origin main | cut -c1-40)"
git pull --quiet
if git ls-remote https://github.com/octo/plans.git >/dev/null 2>err; then echo "other: reached"; else echo "other: refused"; fi
