#!/usr/bin/python3
"""A certificate authority, a server certificate and app keys for one test run.

Nothing secret or expiring is kept in the repository: every run makes its own.
The certificates carry all that strict verifiers ask for (RFC 5280 4.2.1: key
identifiers, key usage, alternative names, extended key usage), so that a test
never has to weaken verification in order to pass.

    certs.py DIR [NAME-OR-ADDRESS...]
"""

import datetime
import ipaddress
import json
import os
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DEFAULT_NAMES = ("localhost", "127.0.0.1", "api.github.com")
LIFETIME = datetime.timedelta(days=2)


def write_private(path, data):
    """Writes a file that only its owner may read, from its first byte on."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)


def _pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private_pem(key, form):
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _usage(**wanted):
    flags = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
             "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{flag: wanted.get(flag, False) for flag in flags})


def _builder(subject, issuer, public_key, issuer_public_key):
    now = datetime.datetime.utcnow()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_public_key), critical=False
        )
    )


def _common_name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def make_authority(common_name="Test CA"):
    """Returns (certificate, key) of a new authority; the key is never written."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _common_name(common_name)
    certificate = (
        _builder(name, name, key.public_key(), key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def _alternative_name(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def make_server(authority, names):
    """Returns (certificate, key) of a server with these names and addresses."""
    ca_certificate, ca_key = authority
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _common_name(names[0])
    certificate = (
        _builder(subject, ca_certificate.subject, key.public_key(), ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_alternative_name(name) for name in names]), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    return certificate, key


def make_app_key(path):
    """Writes a GitHub App key as GitHub hands it out: RSA, PKCS#1 PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    write_private(path, _private_pem(key, serialization.PrivateFormat.TraditionalOpenSSL))
    return path


def prepare(directory, names=DEFAULT_NAMES):
    """Fills a directory with what a stand-in needs; returns the paths."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    paths = {
        name: os.path.join(directory, name.replace("_", "-") + ".pem")
        for name in ("ca", "server", "server_key", "app_key")
    }
    authority = make_authority()
    certificate, key = make_server(authority, list(names))
    with open(paths["ca"], "wb") as file:
        file.write(_pem(authority[0]))
    with open(paths["server"], "wb") as file:
        file.write(_pem(certificate))
    write_private(paths["server_key"], _private_pem(key, serialization.PrivateFormat.PKCS8))
    make_app_key(paths["app_key"])
    return paths


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    print(json.dumps(prepare(sys.argv[1], tuple(sys.argv[2:]) or DEFAULT_NAMES)))


if __name__ == "__main__":
    main()
