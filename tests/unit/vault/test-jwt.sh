#!/bin/sh
# Makes keys of every kind, lets the test sign with them, and has OpenSSL judge what was signed.
set -eu
keys=$(mktemp -d)
trap 'rm -rf "$keys"' EXIT
program=$(realpath "$1")
cd "$keys"
quiet() { "$@" >log 2>&1 || { cat log >&2; exit 1; }; }

quiet openssl genrsa -traditional -out pkcs1.pem 2048
quiet openssl pkcs8 -topk8 -nocrypt -in pkcs1.pem -out pkcs8.pem
quiet openssl pkcs8 -topk8 -passout pass:x -in pkcs1.pem -out pkcs8-encrypted.pem
quiet openssl rsa -traditional -aes128 -passout pass:x -in pkcs1.pem -out pkcs1-encrypted.pem
quiet openssl rsa -pubout -in pkcs1.pem -out public.pem
quiet openssl genrsa -traditional -out short.pem 1024
quiet openssl ecparam -genkey -name prime256v1 -noout -out ec.pem
quiet openssl pkcs8 -topk8 -nocrypt -in ec.pem -out ec-pkcs8.pem
quiet openssl genpkey -algorithm ed25519 -out ed25519.pem
head -c 700 pkcs1.pem >cut.pem
quiet openssl rsa -in pkcs1.pem -outform DER -out key.der
openssl rsa -in pkcs1.pem -pubout -outform DER 2>/dev/null | openssl sha256 -binary | openssl base64 >fingerprint

MCPCRED_TEST_KEYS=$keys "$program"

# base64url without padding, back into bytes
decode() { tr '_-' '/+' | awk '{ while (length($0) % 4) $0 = $0 "="; print }' | openssl base64 -d -A; }
for name in pkcs1 pkcs8; do
        cut -d. -f1,2 <$name.jwt | tr -d '\n' >signed
        cut -d. -f3 <$name.jwt | decode >signature
        openssl dgst -sha256 -verify public.pem -signature signature signed >&2
        [ "$(cut -d. -f1 <$name.jwt | decode)" = '{"alg":"RS256","typ":"JWT"}' ]
        [ "$(cut -d. -f2 <$name.jwt | decode)" = '{"iat":1699999940,"exp":1700000060,"iss":"Iv1.0123"}' ]
done
