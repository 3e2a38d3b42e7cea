"""HTTP's answers are read the same however they come in pieces, and mutants of them give one of three errors."""

import contextlib
import random
import socket
import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from cvae_sdk import DeadlineError, ProtocolError
from cvae_sdk.backends.deadline import Deadline
from cvae_sdk.backends.http_answer import Answer, AnswerReader
from remote.scripted_http import http

MOST = 5000
BODY = bytes(range(256)) * 8
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"7f;name=value\r\n" + BODY[:127] + b"\r\n781\r\n" + BODY[127:] + b"\r\n0\r\nTrailer: 1\r\n\r\n"
)  # fmt: skip
ANSWERS = {
    "length": http(BODY),
    "chunks": CHUNKED,
    "until it closes": http(BODY, length=False),
    "after an interim answer": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + http(BODY),
    "HTTP/1.0": http(BODY).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "without a reason": http(BODY).replace(b"200 OK", b"200"),
}


def read(content: bytes, cuts: list[int], seconds: float = 5.0) -> Answer:
    """The answer of a server that sends this in pieces and closes."""
    ours, theirs = socket.socketpair()

    def send() -> None:
        with theirs, contextlib.suppress(OSError):
            for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
                theirs.sendall(content[start:end])

    thread = threading.Thread(target=send)
    thread.start()
    try:
        with ours:
            return AnswerReader(ours, "here:1").answer(MOST, 100, Deadline.after(seconds, "here:1"))
    finally:
        thread.join()


@given(which=st.sampled_from(sorted(ANSWERS)), data=st.data())
@settings(deadline=None, max_examples=100)
def test_the_pieces_an_answer_comes_in_do_not_matter(which: str, data: st.DataObject) -> None:
    content = ANSWERS[which]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=8)))
    answer = read(content, cuts)
    assert (answer.status, bytes(answer.body)) == (200, BODY)
    assert answer.keep == (which not in ("until it closes", "HTTP/1.0"))


def test_a_connection_that_says_close_is_not_kept() -> None:
    assert read(http(BODY), []).keep
    assert not read(http(BODY, close=True), []).keep
    assert not read(http(BODY) + b"HTTP/1.1 200 OK\r\n", []).keep  # more came than was asked for


def test_a_refusal_s_body_is_cut() -> None:
    answer = read(http(BODY, "400 No"), [])
    assert (answer.status, bytes(answer.body), answer.keep) == (400, BODY[:100], False)


def test_mutants_of_answers_are_read_or_give_one_of_three_errors(tell_count) -> None:
    rng, tried = random.Random(0), 2000
    errors: list[str] = []
    for _ in range(tried):
        spoiled = bytearray(rng.choice(list(ANSWERS.values())))
        head = spoiled.find(b"\r\n\r\n") + 4
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(head if rng.random() < 0.8 else len(spoiled))
            if rng.random() < 0.6:
                spoiled[at] = rng.choice(b"\r\n\0 :;09afz-") if rng.random() < 0.5 else rng.randrange(256)
            else:
                spoiled[at : at + rng.randint(0, 3)] = rng.choice([b"\r\n", b"", b"0", b"Content-Length: 3\r\n", b"\n"])
        try:
            answer = read(bytes(spoiled), [], 2.0)
            assert len(answer.body) <= MOST
        except (ProtocolError, DeadlineError, ConnectionAbortedError) as error:
            errors.append(str(error))
    assert len(errors) > tried / 4
    assert all(len(text.splitlines()) == 1 for text in errors)
    tell_count(tried, tried, "mutants of HTTP answers are read within bounds, or refused")
