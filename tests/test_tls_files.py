"""Given certificates: used for PostgreSQL and HTTPS, and replaced while sessions go on."""

import datetime
import ipaddress
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kit.api import Api
from kit.login import Login
from kit.server import Server
from kit.tls import ask_for_tls, unchecked_context
from kit.waiting import eventually

DOMAIN = "db.example.com"


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


@dataclass
class Authority:
    """A CA of somebody else's, and where its certificates are put."""

    folder: Path

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(name("A CA"), self.key.public_key(), ca=True)
        self.ca_file = self.folder / "given-ca.pem"
        self.ca_file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        self.cert_file, self.key_file = self.folder / "cert.pem", self.folder / "key.pem"

    def _sign(self, subject: x509.Name, public_key, *, ca: bool = False) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name("A CA"))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            names = [x509.DNSName(f"*.{DOMAIN}"), x509.DNSName("localhost")]
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            alternatives = x509.SubjectAlternativeName([*names, address])
            builder = builder.add_extension(alternatives, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self) -> bytes:
        """Puts a new certificate and its key into place; the certificate as sent on the wire."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(name("Lakeport"), key.public_key())
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        replace(self.cert_file, pem)
        replace(self.key_file, private)
        return certificate.public_bytes(serialization.Encoding.DER)


def replace(path: Path, content: bytes) -> None:
    """As tools for certificates do: written beside it, then renamed."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.chmod(0o600)
    fresh.rename(path)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def given(authority: Authority) -> Iterator[tuple[Server, int]]:
    authority.issue()
    port = free_port()
    server = Server(
        *("--domain", DOMAIN, "--pg-port", str(port)),
        *("--tls-cert", str(authority.cert_file), "--tls-key", str(authority.key_file)),
    )
    try:
        yield server.start(), port
    finally:
        server.close()


def served_at_postgres(port: int) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as tcp,
        ask_for_tls(tcp, unchecked_context()) as tls,
    ):
        return tls.getpeercert(binary_form=True)


def served_at_https(server: Server) -> bytes:
    host, port = server.https.split("//")[1].split(":")
    with (
        socket.create_connection((host, int(port)), timeout=30) as tcp,
        unchecked_context().wrap_socket(tcp) as tls,
    ):
        return tls.getpeercert(binary_form=True)


def test_given_certificates_serve_and_are_replaced(
    authority: Authority, given: tuple[Server, int]
) -> None:
    server, port = given
    api = Api(server.http, server.token)
    api.create_instance("given")
    login = Login.to(api, api.wait_for_state("given", "AVAILABLE"))
    assert login.host.endswith(f".{DOMAIN}")
    verified = {
        "hostaddr": "127.0.0.1",
        "port": port,
        "sslmode": "verify-full",
        "sslrootcert": str(authority.ca_file),
    }
    https = {"verify": str(authority.ca_file), "timeout": 30}

    with login.connect(**verified) as session:
        # Its own CA's certificates are no longer served.
        with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
            login.connect(**(verified | {"sslrootcert": str(server.ca_file)}))
        assert requests.get(f"{server.https}/healthz", **https).ok

        fresh = authority.issue()
        eventually(lambda: served_at_postgres(port) == fresh, "the new certificate serves")
        eventually(lambda: served_at_https(server) == fresh, "HTTPS has it too")
        assert requests.get(f"{server.https}/healthz", **https).ok
        with login.connect(**verified) as second:
            assert second.execute("SELECT 1").fetchone() == (1,)

        # What is of no use is not taken, also when told to look.
        replace(authority.cert_file, b"no certificate")
        os.kill(server.process.pid, signal.SIGHUP)
        useless = "the new certificate is of no use"
        eventually(lambda: useless in server.log.read_text(), "the log tells of it")
        assert served_at_postgres(port) == fresh
        assert session.execute("SELECT 1").fetchone() == (1,), "the old session goes on"


def test_files_that_do_not_fit_are_refused_at_start(authority: Authority) -> None:
    authority.issue()
    old = authority.key_file.read_bytes()
    authority.issue()
    replace(authority.key_file, old)
    files = ("--tls-cert", str(authority.cert_file), "--tls-key", str(authority.key_file))
    server = Server(*files)
    try:
        ended = server.run_to_its_end()
    finally:
        server.close()
    assert ended.returncode != 0 and "keys may not be consistent" in ended.stdout.lower()
