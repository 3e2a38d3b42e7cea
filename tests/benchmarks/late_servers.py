"""Servers of the tiny model that are late or down, each told to be so in a process of its own."""

import contextlib
import multiprocessing
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from faults.server_fault import GRPC, INFERENCE, REST
from faults.server_transport import drip_chunks, half_body, half_head, parts, then
from remote.scripted_grpc import Call, ScriptedGrpc
from remote.scripted_http import Exchange, ScriptedServer, http

DEADLINE = 0.1  # seconds
LAST_MOMENT = 0.03  # seconds before the deadline
LARGE = 20_000  # images, of 6 pixels each: many requests, each of as much JSON as one may have
RIGHT, LATE, DOWN, SILENT = "right", "late", "down", "silent"


@dataclass(frozen=True)
class Late:
    """A server that is late: what it does over one interface, asked for so many images, in parts of `most`."""

    name: str
    interface: str
    spoil: Callable[[Any], object]
    images: int = 5
    most: int = 1024
    unread: bool = False
    """Whether it answers each connection so, of which it reads nothing; over gRPC of a Sampler that is opened."""


def slowly(exchange: Exchange) -> None:
    time.sleep(0.015)
    exchange.send(exchange.good)


def slowly_by_grpc(call: Call) -> bytes:
    time.sleep(0.015)
    return call.good


def at_the_last_moment(exchange: Exchange) -> None:
    time.sleep(max(0.0, DEADLINE - LAST_MOMENT))
    exchange.send(exchange.good)


def drip_head(exchange: Exchange) -> None:
    exchange.drip(exchange.good, 0.005)


def drip_body(exchange: Exchange) -> None:
    head, body = parts(exchange)
    exchange.send(head)
    exchange.drip(body, 0.005)


LATES = (
    *(
        late
        for how in (REST, INFERENCE)
        for late in (
            Late("never answers", how, Exchange.stall),
            Late("takes the connection and reads nothing", how, Exchange.stall, unread=True),
            Late("drips the head", how, drip_head),
            Late("drips the body", how, drip_body),
            Late("drips chunks", how, drip_chunks),
            Late("stops within the head", how, then(half_head, Exchange.stall)),
            Late("stops within the body", how, then(half_body, Exchange.stall)),
            Late("answers each of many parts slowly", how, slowly, images=500, most=10),
        )
    ),
    Late("answers in full at the last moment", REST, at_the_last_moment, images=LARGE, most=LARGE),
    Late("reads nothing of 12 MB", INFERENCE, Exchange.stall, images=1_000_000, most=1_000_000, unread=True),
    Late("never answers", GRPC, Call.stall),
    Late("takes the connection and says nothing", GRPC, Exchange.stall, unread=True),
    Late("answers each of many parts slowly", GRPC, slowly_by_grpc, images=500, most=10),
)


def busy(exchange: Exchange) -> None:
    exchange.send(http(b"{}", "503 Service Unavailable"))


def unavailable(call: Call) -> bytes:
    return call.abort("UNAVAILABLE", "down")


@dataclass(frozen=True)
class Down:
    """A server that is down: what it does with each request over one interface."""

    name: str
    interface: str
    spoil: Callable[[Any], object]


DOWNS = (
    *(Down("answers 503", how, busy) for how in (REST, INFERENCE)),
    *(Down("closes each connection", how, Exchange.close) for how in (REST, INFERENCE)),
    *(Down("resets each connection", how, Exchange.reset) for how in (REST, INFERENCE)),
    Down("answers UNAVAILABLE", GRPC, unavailable),
)


def serve(pipe: Connection) -> None:
    """In a process of its own: servers that are right, until the pipe says what they do; None ends them."""
    with ScriptedServer() as plain, ScriptedServer() as silent, ScriptedGrpc() as grpc:
        here: dict[str, Any] = {REST: plain, INFERENCE: plain, GRPC: grpc}
        silent.raw = Exchange.stall
        pipe.send({**{name: server.port for name, server in here.items()}, SILENT: silent.port})
        while (order := pipe.recv()) is not None:
            table, number = order
            answer = plain.spoiled + grpc.spoiled
            plain.spoil = plain.raw = grpc.spoil = None
            if table == LATE and LATES[number].unread:
                plain.raw = LATES[number].spoil
                for connection in list(plain._open):  # those that are kept would be answered
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)
            elif table != RIGHT:
                case = LATES[number] if table == LATE else DOWNS[number]
                here[case.interface].spoil = case.spoil
            pipe.send(answer)


@contextlib.contextmanager
def apart() -> Iterator[tuple[dict[str, int], Callable[..., int]]]:
    """The ports of servers in another process, and what tells them things and gives what they say."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there,), daemon=True)
    process.start()
    there.close()

    def tell(table: str, number: int = 0) -> int:
        """Have them be right, late or down; how many requests were not answered right before."""
        here.send((table, number))
        return here.recv()

    yield here.recv(), tell
    here.send(None)
    process.join(10)
