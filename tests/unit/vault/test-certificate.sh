#!/bin/sh
# Lets the test make certificates, and has OpenSSL, and Python's strictest setting, judge them.
set -eu
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
program=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
cd "$out"
quiet() { "$@" >log 2>&1 || { cat log >&2; exit 1; }; }
refused() { if "$@" >log 2>&1; then cat log >&2; exit 1; fi; }

MCPCRED_TEST_OUT=$out "$program"

verify() { openssl verify -x509_strict -purpose sslserver -CAfile "$1-ca.pem" -verify_hostname "$2" "$1-leaf.pem"; }
for name in few many; do
        quiet openssl x509 -inform DER -in $name-leaf.der -out $name-leaf.pem
        quiet openssl ec -inform DER -in $name-key.der -out $name-key.pem
done
quiet verify few api.github.com
quiet verify few github.com
quiet verify few one.example.com
quiet verify many host-0.of.a.longer.example.com
quiet verify many host-249.of.a.longer.example.com
refused verify few evil.github.com
refused verify few example.com
refused verify few two.labels.example.com
refused openssl verify -x509_strict -CAfile many-ca.pem few-leaf.pem

text() { openssl x509 -in "$1" -noout -text; }
has() { grep -qF -- "$2" "$1" || { echo "$1 lacks: $2" >&2; cat "$1" >&2; exit 1; }; }
text few-ca.pem >ca.txt
text few-leaf.pem >leaf.txt
has ca.txt 'X509v3 Name Constraints: critical'
has ca.txt 'X509v3 Basic Constraints: critical'
has ca.txt 'CA:TRUE, pathlen:0'
has ca.txt 'X509v3 Key Usage: critical'
has ca.txt 'Certificate Sign'
has ca.txt 'X509v3 Subject Key Identifier'
has leaf.txt 'X509v3 Subject Alternative Name: critical'
has leaf.txt 'DNS:api.github.com, DNS:github.com, DNS:*.example.com, DNS:x-1.a.b'
has leaf.txt 'TLS Web Server Authentication'
has leaf.txt 'X509v3 Authority Key Identifier'
[ "$(grep -c '^ *DNS:' ca.txt)" = 4 ]
[ -z "$(openssl x509 -in few-leaf.pem -noout -subject -nameopt RFC2253 | cut -d= -f2-)" ]
# A positive number of sixteen bytes.
openssl x509 -in few-leaf.pem -noout -serial | grep -qE '^serial=[4-7][0-9A-F]{31}$'
# Good an hour ago, and for a day behind the session's end, and no longer.
quiet openssl verify -attime $(($(date +%s) - 3500)) -CAfile few-ca.pem few-leaf.pem
refused openssl verify -attime $(($(date +%s) - 3700)) -CAfile few-ca.pem few-leaf.pem
quiet openssl verify -attime $(($(date +%s) + 88000)) -CAfile few-ca.pem few-leaf.pem
refused openssl verify -attime $(($(date +%s) + 88400)) -CAfile few-ca.pem few-leaf.pem

if python3 -c 'import ssl; ssl.VERIFY_X509_STRICT' 2>log; then
        quiet python3 "$here/handshake.py" few-ca.pem few-leaf.pem few-key.pem api.github.com one.example.com
        refused python3 "$here/handshake.py" few-ca.pem few-leaf.pem few-key.pem elsewhere.org
fi
