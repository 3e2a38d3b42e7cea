"""Which addresses are taken, what they say, and why others are refused."""

import pytest

from cvae_sdk import InputError
from cvae_sdk.backends.address import Address, is_address, read_address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://host:8501/v1/models/mnist", Address("tf_serving_rest", False, "host", 8501, "mnist")),
        ("https://host/v1/models/mnist", Address("tf_serving_rest", True, "host", 443, "mnist")),
        ("http://host/v1/models/mnist", Address("tf_serving_rest", False, "host", 80, "mnist")),
        ("HTTP://Host:1/v1/models/Mnist", Address("tf_serving_rest", False, "host", 1, "Mnist")),
        ("http://h:1/v1/models/m/versions/12", Address("tf_serving_rest", False, "h", 1, "m", "12")),
        ("http://h:1/v1/models/m/labels/stable", Address("tf_serving_rest", False, "h", 1, "m", None, "stable")),
        ("grpc://h:8500/mnist", Address("tf_serving_grpc", False, "h", 8500, "mnist")),
        ("grpcs://h:8500/mnist/3", Address("tf_serving_grpc", True, "h", 8500, "mnist", "3")),
        ("http://h:8000/v2/models/mnist", Address("open_inference", False, "h", 8000, "mnist")),
        ("https://h:8000/v2/models/mnist/versions/1", Address("open_inference", True, "h", 8000, "mnist", "1")),
        ("http://[::1]:8501/v1/models/m", Address("tf_serving_rest", False, "::1", 8501, "m")),
        ("http://127.0.0.1:8501/v1/models/m", Address("tf_serving_rest", False, "127.0.0.1", 8501, "m")),
        ("http://h:1/v1/models/my%20model", Address("tf_serving_rest", False, "h", 1, "my model")),
        ("http://h:1/v1/models/数字", Address("tf_serving_rest", False, "h", 1, "数字")),
        ("http://h:1/v1/models/%E6%95%B0", Address("tf_serving_rest", False, "h", 1, "数")),
    ],
)
def test_the_three_forms_say_where_a_model_is(url: str, address: Address) -> None:
    assert read_address(url) == address


def test_a_server_is_shown_as_host_and_port() -> None:
    assert read_address("http://host:8501/v1/models/m").server == "host:8501"
    assert read_address("http://[::1]:8501/v1/models/m").server == "[::1]:8501"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h/v1/models/m", "file:///v1/models/m", "http://h:1", "http://h:1/", "http://h:1/m", "http://h:1/v3/models/m",
        "http://h:1/v1/models/", "http://h:1/v1/models/m/", "http://h:1/v1/models/m:predict", "http://h:1/v1/models/m/infer",
        "http://h:1/prefix/v1/models/m", "http://h:1/v1/models/m/versions/x", "http://h:1/v1/models/m/versions/1/labels/a",
        "http://h:1/v2/models/m/labels/a", "http://h:1/v2/models/m/infer", "grpc://h:1", "grpc://h:1/", "grpc://h:1/m/x",
        "grpc://h/m", "grpc://h:1/v1/models/m", "https//h:1/v1/models/m", "://", "http://", "httpss://h:1/v1/models/m", "s://h/m",
    ],
)  # fmt: skip
def test_any_other_form_is_refused_and_the_three_are_told(url: str) -> None:
    with pytest.raises(InputError) as raised:
        read_address(url)
    assert raised.value.field == "url"
    assert raised.value.found == url


def test_the_message_tells_the_three_forms() -> None:
    with pytest.raises(InputError) as raised:
        read_address("http://host:8501/mnist")
    assert str(raised.value) == (
        "a server's address must be one of http(s)://HOST:8501/v1/models/NAME[/versions/V or /labels/L], "
        "grpc(s)://HOST:8500/NAME[/V] or http(s)://HOST:8000/v2/models/NAME[/versions/V], got 'http://host:8501/mnist'"
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://h:1/v1/models/m?key=1", "http://h:1/v1/models/m#part", "http://h:1/v1/models/m?", "http://h:1/v1/models/m#",
        "http://h:0/v1/models/m", "http://h:65536/v1/models/m", "http://h:x/v1/models/m", "http://h:-1/v1/models/m",
        "http://:1/v1/models/m", "http://ho st:1/v1/models/m", "http://hö:1/v1/models/m", "http://[::1/v1/models/m",
        "http://h:1/v1/models/a\nb", "http://h:1/v1/models/\tm", "http://h:1\\/v1/models/m", "http://h:1/v1/models/%ff",
        "http://h:1/v1/models/a%2Fb", "http://h:1/v1/models/%0d%0a", "http://h:1/v1/models/a%3Apredict", "http://h:1/v1/models/..",
        "http://h:1/v1/models/%2e%2e", "http://h%00:1/v1/models/m", "http://h:1/v2/models/m/versions/..",
    ],
)  # fmt: skip
def test_what_could_mean_two_things_is_refused(url: str) -> None:
    with pytest.raises(InputError, match=r"^a server's address must be "):
        read_address(url)


@pytest.mark.parametrize(
    "url", ["http://user:secret@h:1/v1/models/m", "http://user@h:1/v1/models/m", "grpc://:s3@h:1/m"]
)
def test_a_user_is_refused_without_telling_the_password(url: str) -> None:
    with pytest.raises(InputError, match="must have no user and no password: give headers in RemoteOptions") as raised:
        read_address(url)
    assert "secret" not in str(raised.value)
    assert "secret" not in str(vars(raised.value))


def test_an_artifact_s_name_or_path_is_no_address() -> None:
    assert not any(map(is_address, ("mnist", "./mnist", "/artifacts/mnist", "C:\\artifacts")))
    assert all(map(is_address, ("http://h/v1/models/m", "grpc://h:1/m", "ftp://h")))
