"""What a server's status says, as an error, and whether it can be tried again.

    429, 503             OverloadedError, tried again
    502, 504             ServerFailedError, tried again
    500, other 5xx       ServerFailedError
    4xx, 501             RefusedError
    all others but 200   ProtocolError; a redirect, 3xx, is not followed

Retry-After is a number of seconds or a date (RFC 9110, 10.2.3); what is neither is as if it were not there.
"""

import re
from datetime import UTC, datetime

from cvae_sdk.backends.http_answer import Answer
from cvae_sdk.backends.retries import Again
from cvae_sdk.bounded_json import parse_json
from cvae_sdk.errors import (
    OverloadedError,
    ProtocolError,
    RefusedError,
    RemoteError,
    ServerFailedError,
    named,
    one_line,
)

__all__ = ["check_status", "seconds_to_wait"]

_AGAIN = frozenset((429, 502, 503, 504))


def check_status(answer: Answer, server: str) -> None:
    """Nothing for 200; raises what the status says, Again where it can be tried again."""
    status = answer.status
    if status == 200:
        return
    said = _message(answer)
    error = _class_of(status)(
        f"{server} answered with status {status}{f': {said}' if said else ''}",
        field="status", expected=200, found=status,
    )  # fmt: skip
    if status in _AGAIN:
        raise Again(error, seconds_to_wait(answer.headers.get("retry-after", ""), datetime.now(UTC)))
    raise error


def _class_of(status: int) -> type[RemoteError]:
    if status in (429, 503):
        return OverloadedError
    if status == 501 or 400 <= status < 500:
        return RefusedError
    return ServerFailedError if 500 <= status < 600 else ProtocolError


def _message(answer: Answer) -> str:
    """The server's own words, on one line: of a redirect where to, else the field `error` of JSON, or the body."""
    if 300 <= answer.status < 400:
        return f"a redirect to {one_line(answer.headers.get('location', ''))}, which is not followed"
    try:
        values = parse_json(bytes(answer.body))
    except ValueError:
        values = None
    error = values.get("error") if isinstance(values, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    text = error if isinstance(error, str) else answer.body.decode("utf-8", "replace")
    return named(" ".join(text.split()))


def seconds_to_wait(retry_after: str, now: datetime) -> float:
    """That a server asks to wait by its header Retry-After, at least 0."""
    if re.fullmatch(r"\d+", retry_after, re.ASCII):
        return float(retry_after) if len(retry_after) < 18 else float("inf")
    from email.utils import parsedate_to_datetime  # takes as long to import as all of this package

    try:
        then = parsedate_to_datetime(retry_after)
        return max(0.0, (then.replace(tzinfo=then.tzinfo or UTC) - now).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0.0
