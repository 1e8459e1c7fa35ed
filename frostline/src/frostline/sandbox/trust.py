"""Whom environments trust: what the system trusts, and, where the lab has TLS upstreams, the authority of this run.

Every client has its own place for that. Most read a variable that names a file with *all* authorities, so there is a file with the system's and
ours; Node adds a file's to its own.
"""

from __future__ import annotations

import ssl
from pathlib import Path

AUTHORITY_FILE = "frostline-ca.pem"
BUNDLE_FILE = "frostline-ca-bundle.pem"
"""In an environment's /etc."""

VARIABLES = {
    "NODE_EXTRA_CA_CERTS": f"/etc/{AUTHORITY_FILE}",
    "SSL_CERT_FILE": f"/etc/{BUNDLE_FILE}",  # OpenSSL (Python's ssl, httpx, aiohttp), Go
    "REQUESTS_CA_BUNDLE": f"/etc/{BUNDLE_FILE}",
    "CURL_CA_BUNDLE": f"/etc/{BUNDLE_FILE}",
    "AWS_CA_BUNDLE": f"/etc/{BUNDLE_FILE}",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": f"/etc/{BUNDLE_FILE}",  # C-core's, and grpc-js's
}
"""For a function's processes; the function's own are stronger."""

SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine
)
"""Where distributions keep them: the list of Go's crypto/x509."""


def files(authority: str) -> dict[str, str]:
    """The files of an environment's /etc, by name, for an authority's certificate (PEM)."""
    return {AUTHORITY_FILE: authority, BUNDLE_FILE: _system() + authority}


def _system() -> str:
    """The system's bundle; nothing where there is none: then only upstreams are trusted."""
    for path in (ssl.get_default_verify_paths().cafile, *SYSTEM_BUNDLES):
        if path and Path(path).is_file():
            return Path(path).read_text(encoding="utf-8", errors="replace").rstrip() + "\n"
    return ""
