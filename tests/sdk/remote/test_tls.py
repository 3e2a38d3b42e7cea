"""Over TLS a server is asked only if it is the one that was meant; each way in which it is not gives its error."""

import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from cvae_sdk import InputError, RemoteOptions, UnreachableError
from cvae_sdk.backends.remote import open_remote
from remote import tiny_model
from remote.certificates import DAY, Authority, Issued
from remote.scripted_grpc import ScriptedGrpc
from remote.scripted_http import ScriptedServer, http

FORMS = {
    "rest": "https://{}:{}/v1/models/tiny",
    "inference": "https://{}:{}/v2/models/tiny",
    "grpc": "grpcs://{}:{}/tiny",
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@contextlib.contextmanager
def serving(interface: str, issued: Issued, client_ca: Path | None = None) -> Iterator[Any]:
    """A server with that certificate, which wants one of its clients if `client_ca` is given."""
    if interface == "grpc":
        pair = (issued.key.read_bytes(), issued.certificate.read_bytes())
        ca = None if client_ca is None else client_ca.read_bytes()
        with ScriptedGrpc(grpc.ssl_server_credentials([pair], ca, client_ca is not None)) as server:
            yield server
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    with ScriptedServer(context=context) as server:
        yield server


def ask(interface: str, server: Any, host: str = "127.0.0.1", **options: Any) -> None:
    """Open and run; the images must be right."""
    backend, _ = open_remote(FORMS[interface].format(host, server.port), RemoteOptions(deadline=5, **options))
    try:
        z, label = tiny_model.latents(500)
        images = backend.run("decode", {"z": z, "label": label})["image"]
        np.testing.assert_array_equal(images, tiny_model.run("decode", {"z": z, "label": label})["image"])
    finally:
        backend.close()


def refused(interface: str, server: Any, host: str = "127.0.0.1", **options: Any) -> UnreachableError:
    with pytest.raises(UnreachableError) as raised:
        ask(interface, server, host, tries=1, **options)
    assert type(raised.value) is UnreachableError
    assert len(str(raised.value).splitlines()) == 1
    assert server.asked == []
    return raised.value


def test_a_server_that_is_trusted_is_asked(interface: str, authority: Authority) -> None:
    with serving(interface, authority.issue("server")) as server:
        ask(interface, server, ca_file=str(authority.certificate))


def test_a_name_is_as_good_as_an_address(interface: str, authority: Authority) -> None:
    with serving(interface, authority.issue("named", "localhost")) as server:
        ask(interface, server, "localhost", ca_file=str(authority.certificate))


def test_a_certificate_of_an_unknown_authority_is_refused(interface: str, authority: Authority) -> None:
    with serving(interface, authority.issue("stranger")) as server:
        error = refused(interface, server)  # by the system's authorities
    if interface != "grpc":
        assert error.field == "certificate"
        assert "cannot be trusted: unable to get local issuer certificate" in str(error)


def test_a_certificate_that_it_signed_itself_is_refused(interface: str, authority: Authority, tmp_path: Path) -> None:
    itself = Authority(tmp_path, "itself")
    with serving(interface, itself.issue("server")) as server:
        refused(interface, server, ca_file=str(authority.certificate))


def test_a_certificate_of_another_host_is_refused(interface: str, authority: Authority) -> None:
    with serving(interface, authority.issue("other", "example.com")) as server:
        error = refused(interface, server, ca_file=str(authority.certificate))
    if interface != "grpc":
        assert "IP address mismatch, certificate is not valid for '127.0.0.1'" in str(error)


def test_a_certificate_that_has_ended_is_refused(interface: str, authority: Authority) -> None:
    with serving(interface, authority.issue("ended", ends=-DAY)) as server:
        error = refused(interface, server, ca_file=str(authority.certificate))
    if interface != "grpc":
        assert "certificate has expired" in str(error)


def test_a_server_without_tls_is_refused(interface: str, authority: Authority) -> None:
    with ScriptedGrpc() if interface == "grpc" else ScriptedServer() as server:
        server.raw = lambda e: (e.send(http(b"", "400 Bad Request")), e.stall())
        error = refused(interface, server, ca_file=str(authority.certificate))
    if interface != "grpc":
        assert error.field == "tls"


def test_a_server_with_tls_is_not_asked_without(interface: str, authority: Authority) -> None:
    with serving(interface, authority.issue("only")) as server:
        plain = FORMS[interface].replace("s://", "://", 1).format("127.0.0.1", server.port)
        with pytest.raises(UnreachableError):
            open_remote(plain, RemoteOptions(deadline=5, tries=1))


def test_a_client_shows_its_certificate(interface: str, authority: Authority) -> None:
    client = authority.issue("client")
    with serving(interface, authority.issue("server2"), authority.certificate) as server:
        files = {"cert_file": str(client.certificate), "key_file": str(client.key)}
        ask(interface, server, ca_file=str(authority.certificate), **files)


def test_a_client_without_its_certificate_is_refused(interface: str, authority: Authority) -> None:
    with serving(interface, authority.issue("server3"), authority.certificate) as server:
        refused(interface, server, ca_file=str(authority.certificate))


@pytest.mark.parametrize("wrong", ["key of another", "no key", "encrypted"])
def test_a_client_s_files_that_do_not_fit_are_refused_before_anything_is_asked(
    interface: str, authority: Authority, wrong: str, tmp_path: Path
) -> None:
    client = authority.issue("fits", password=b"secret" if wrong == "encrypted" else None)
    key = {"key of another": authority.issue("another").key, "no key": tmp_path / "none"}.get(wrong, client.key)
    files = {"cert_file": str(client.certificate), "key_file": str(key)}
    options = RemoteOptions(ca_file=str(authority.certificate), **files)
    with pytest.raises(InputError, match=r"^(cert_file must be a PEM certificate and its key|key_file must be a file)"):
        open_remote(FORMS[interface].format("127.0.0.1", 1), options)
