"""Certificates in real TLS handshakes over loopback."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from delivery.operations import authority
from tests.support.stores import tls_server

NAMES = ("object-store.test-platform.svc", "object-store", "127.0.0.1")
Authority = tuple[str, str]


@pytest.fixture(scope="module")
def ca() -> Authority:
    return authority.make_authority("test")


@contextmanager
def listening(context: ssl.SSLContext) -> Iterator[int]:
    """A server for one connection; what the client refuses is no failure here."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            try:
                connection, _ = server.accept()
                with context.wrap_socket(connection, server_side=True) as tls:
                    tls.sendall(b"hello")
            except OSError:
                pass

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def handshake(pair: dict[str, str], trusted: str, name: str, folder: Path) -> bytes:
    """What a client that trusts `trusted` reads from a server with this certificate under `name`."""
    trust = ssl.create_default_context(cadata=trusted)
    # As newer Pythons do by default.
    trust.verify_flags |= ssl.VERIFY_X509_STRICT
    with (
        listening(tls_server(pair, folder)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
        trust.wrap_socket(plain, server_hostname=name) as tls,
    ):
        return tls.recv(5)


@pytest.mark.parametrize("name", NAMES)
def test_a_certificate_verifies_by_each_name_and_address(name: str, ca: Authority, tmp_path: Path) -> None:
    assert handshake(authority.sign(*ca, NAMES), ca[0], name, tmp_path) == b"hello"


@pytest.mark.parametrize("name", ["127.0.0.2", "object-store.prod-platform.svc"])
def test_another_name_is_refused(name: str, ca: Authority, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="is not valid for"):
        handshake(authority.sign(*ca, NAMES), ca[0], name, tmp_path)


def test_a_certificate_of_another_authority_of_the_same_name_is_refused(ca: Authority, tmp_path: Path) -> None:
    other = authority.make_authority("test")
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
        handshake(authority.sign(*other, NAMES), ca[0], "127.0.0.1", tmp_path)


def test_a_server_certificate_signs_no_other(ca: Authority, tmp_path: Path) -> None:
    server = authority.sign(*ca, NAMES)
    forged = authority.sign(server["certificate"], server["key"], NAMES)
    chain = {"certificate": forged["certificate"] + server["certificate"], "key": forged["key"]}
    with pytest.raises(ssl.SSLCertVerificationError, match="invalid CA certificate"):
        handshake(chain, ca[0], "127.0.0.1", tmp_path)
