"""Calls that take a while, for asyncio: each runs in a thread, so that the event loop goes on."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

__all__ = ["in_thread", "one_ahead"]

_T = TypeVar("_T")


async def in_thread(call: Callable[[], _T]) -> _T:
    """What the call gives; a task that is cancelled lets it run to its end, and drops what it gives."""
    import asyncio  # takes longer to import than all of this package

    return await asyncio.to_thread(call)


async def one_ahead(items: Iterator[_T]) -> AsyncIterator[_T]:
    """The items, each made in a thread while the one before it is used; never two at the same time."""
    import asyncio

    end = object()
    pending: asyncio.Task[_T | object] = asyncio.create_task(asyncio.to_thread(next, items, end))
    try:
        while (item := await asyncio.shield(pending)) is not end:
            pending = asyncio.create_task(asyncio.to_thread(next, items, end))
            yield item  # pyright: ignore[reportReturnType]
    finally:
        await asyncio.wait({pending})  # an iterator must not be dropped while a thread is in it
        if not pending.cancelled():
            pending.exception()
