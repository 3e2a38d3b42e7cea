"""Settings that cannot be used are refused when they are made, or when the files that they name are read."""

from pathlib import Path
from typing import Any

import pytest

from cvae_sdk import InputError, RemoteOptions
from cvae_sdk.backends.remote import open_remote

PRINTABLE = "headers['X'] must be printable ASCII without spaces around it, got "
NAMED = "headers must be named with letters, digits, - or _, and none that each request has, got "


def test_the_defaults_and_the_bounds_can_be_used() -> None:
    RemoteOptions()
    RemoteOptions(deadline=1e-3, tries=1, retry_budget=0, max_batch=1)
    RemoteOptions(deadline=60, tries=3, retry_budget=1, headers={"Authorization": "Bearer a.b-c"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"deadline": 0}, "deadline must be a number of seconds above 0, at most a year, got 0"),
        ({"deadline": -1.5}, "deadline must be a number of seconds above 0, at most a year, got -1.5"),
        ({"deadline": float("nan")}, "deadline must be a number of seconds above 0, at most a year, got nan"),
        ({"deadline": float("inf")}, "deadline must be a number of seconds above 0, at most a year, got inf"),
        ({"deadline": "30"}, "deadline must be a number of seconds above 0, at most a year, got '30'"),
        ({"deadline": None}, "deadline must be a number of seconds above 0, at most a year, got None"),
        ({"tries": 0}, "tries must be 1, 2 or 3, got 0"),
        ({"tries": 4}, "tries must be 1, 2 or 3, got 4"),
        ({"tries": 2.0}, "tries must be 1, 2 or 3, got 2.0"),
        ({"tries": True}, "tries must be 1, 2 or 3, got True"),
        ({"retry_budget": -0.1}, "retry_budget must be a share from 0 to 1, got -0.1"),
        ({"retry_budget": 1.5}, "retry_budget must be a share from 0 to 1, got 1.5"),
        ({"max_batch": 0}, "max_batch must be an integer of at least 1, got 0"),
        ({"max_batch": 2.5}, "max_batch must be an integer of at least 1, got 2.5"),
        ({"headers": {"Host": "x"}}, f"{NAMED}'Host'"),
        ({"headers": {"content-LENGTH": "5"}}, f"{NAMED}'content-LENGTH'"),
        ({"headers": {"a b": "x"}}, f"{NAMED}'a b'"),
        ({"headers": {"x-bin": "x"}}, f"{NAMED}'x-bin'"),
        ({"headers": {"X": "a\r\nY: b"}}, f"{PRINTABLE}'a\\r\\nY: b'"),
        ({"headers": {"X": ""}}, f"{PRINTABLE}''"),
        ({"headers": {"X": 5}}, f"{PRINTABLE}5"),
        ({"headers": ["X"]}, "headers must be a mapping of texts, got ['X']"),
        ({"cert_file": "a.pem"}, "key_file must be given where the other of cert_file and key_file is, got None"),
        ({"key_file": "a.pem"}, "cert_file must be given where the other of cert_file and key_file is, got None"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_used_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as raised:
        RemoteOptions(**settings)
    assert str(raised.value) == message
    assert raised.value.field is not None


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
@pytest.mark.parametrize("content", [None, b"", b"no PEM", bytes(range(256))])
def test_a_file_that_holds_no_certificates_is_refused(scheme: str, content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    url = f"{scheme}://localhost:1" + ("/m" if scheme == "grpcs" else "/v1/models/m")
    with pytest.raises(InputError, match=r"^ca_file must be ") as raised:
        open_remote(url, RemoteOptions(ca_file=str(path)))
    assert (raised.value.field, raised.value.found) == ("ca_file", str(path))


@pytest.mark.parametrize("url", ["http://localhost:1/v1/models/m", "grpc://localhost:1/m"])
def test_certificates_without_tls_are_refused(url: str) -> None:
    with pytest.raises(InputError, match=r"^ca_file goes with https or grpcs, got an address without TLS$"):
        open_remote(url, RemoteOptions(ca_file="ca.pem"))
