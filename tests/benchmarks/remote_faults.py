"""What a Sampler's remote backends do with servers that are wrong, late or down, over each interface:

    .venv/bin/python tests/benchmarks/remote_faults.py [--calls 2400] [--parts table late down] [--rows TEXT ..]

1. Each row of the table of faults (tests/sdk/faults/servers.py), over each of its interfaces: whether it gives its
   class of exception, and names its field.
2. Calls of servers that stall, drip, or answer in full at the last moment: by how much a call lasts longer than its
   deadline, in four threads. Beside it how much longer than that a plain sleep lasts in four threads, before and after,
   which is what the machine is late by itself.
3. Calls of servers that are down, by eight threads, from the first one on that is not tried again since the budget of
   retries is spent: how many requests, or connections where none is read, the server gets for each call.

The servers of 2 and 3 (late_servers.py) are in a process of their own. Takes about two minutes on a quiet machine.
"""

import argparse
import contextlib
import functools
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # which else tells on stderr of each connection that breaks
sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))

from faults import servers
from faults.server_fault import GRPC, INFERENCE, REST, ServerFault
from faults.test_servers import FORMS, plant, serving
from late_servers import DEADLINE, DOWN, DOWNS, LATE, LATES, RIGHT, SILENT, Down, Late, apart
from remote import tiny_model

from cvae_sdk import CvaeError, DeadlineError, RemoteOptions
from cvae_sdk.backends import Arrays
from cvae_sdk.backends.deadline import Deadline
from cvae_sdk.backends.remote import RemoteBackend, open_remote

TARGET_MS, TARGET_REQUESTS = 50, 1.1
PARTS = ["table", "late", "down"]
CLIENTS, DOWN_CLIENTS, DOWN_CALLS = 4, 8, 1000


@dataclass(frozen=True)
class Seen:
    """Of one call: seconds beyond the deadline; what it raised, None where it was answered, and of which field.

    The error itself is not kept: it holds all that its call held, and thousands of these are a heap that the garbage
    collector stops every thread to look through.
    """

    over: float
    error: type[CvaeError] | None
    field: str | None = None
    text: str = ""


def timed(act: Callable[[], object]) -> Seen:
    start = time.perf_counter()
    try:
        act()
    except CvaeError as error:
        return Seen(time.perf_counter() - start - DEADLINE, type(error), error.field, repr(error))
    return Seen(time.perf_counter() - start - DEADLINE, None)


def until_deadline(backend: RemoteBackend, inputs: Arrays) -> object:
    return backend.run_until(Deadline.after(DEADLINE, "the server"), "decode", inputs)


def late_calls(late: Late, ports: dict[str, int], tell: Callable[..., int], calls: int) -> list[Seen]:
    """What each of so many calls was, by threads that share a backend."""
    tell(RIGHT)
    act: Callable[[], object]
    if late.unread and late.interface == GRPC:
        url, options = FORMS[GRPC].format(ports[SILENT]), RemoteOptions(deadline=DEADLINE)
        act = functools.partial(open_remote, url, options, tiny_model.MANIFEST)
        backend = None
    else:
        url, options = FORMS[late.interface].format(ports[late.interface]), RemoteOptions(max_batch=late.most)
        backend, _ = open_remote(url, options, tiny_model.MANIFEST)
        z, label = tiny_model.latents(late.images)
        act = functools.partial(until_deadline, backend, {"z": z, "label": label})
        tell(LATE, LATES.index(late))
    with ThreadPoolExecutor(CLIENTS) as clients:
        seen = list(clients.map(lambda _: timed(act), range(calls)))
    if backend is not None:
        backend.close()
    tell(RIGHT)
    return seen


def naps(count: int) -> list[float]:
    with ThreadPoolExecutor(CLIENTS) as clients:
        return [seen.over for seen in clients.map(lambda _: timed(lambda: time.sleep(DEADLINE)), range(count))]


def row_is_right(fault: ServerFault, interface: str) -> str:
    """What is wrong with what a row of the table gives, nothing where it is right."""
    manifest = tiny_model.MANIFEST if fault.manifest else None
    options = RemoteOptions(deadline=fault.deadline, max_batch=50)
    z, label = tiny_model.latents(5)
    with serving(fault, interface) as server, contextlib.ExitStack() as opened:
        act: Callable[[], object]
        act = functools.partial(open_remote, FORMS[interface].format(server.port), options, manifest)
        if fault.at == "POST":
            backend, _ = open_remote(FORMS[interface].format(server.port), options, manifest)
            opened.callback(backend.close)
            act = functools.partial(backend.run, "decode", {"z": z, "label": label})
        plant(fault, server)
        seen = timed(act)
    if seen.error is fault.error and seen.field == fault.field:
        return ""
    return f"{fault.name} ({interface}): must be {fault.error.__name__} of {fault.field}, is {seen.text}"


def down_requests(down: Down, ports: dict[str, int], tell: Callable[..., int]) -> tuple[int, int, int]:
    """Calls until the budget is spent; then, of DOWN_CALLS, requests that the server gets, and errors."""
    tell(RIGHT)
    backend, _ = open_remote(FORMS[down.interface].format(ports[down.interface]), RemoteOptions(), tiny_model.MANIFEST)
    z, label = tiny_model.latents(1)
    act = functools.partial(backend.run, "decode", {"z": z, "label": label})
    tell(DOWN, DOWNS.index(down))
    spent = 1
    while (seen := timed(act)).error is not None and seen.field != "retry_budget":
        spent += 1
    before = tell(DOWN, DOWNS.index(down))
    with ThreadPoolExecutor(DOWN_CLIENTS) as clients:
        failed = sum(seen.error is not None for seen in clients.map(lambda _: timed(act), range(DOWN_CALLS)))
    requests = tell(RIGHT) - before
    backend.close()
    return spent, requests, failed


def tell_table() -> None:
    cases = [(fault, interface) for fault in servers.FAULTS for interface in fault.interfaces]
    with ThreadPoolExecutor(CLIENTS) as workers:
        wrong = [text for text in workers.map(lambda case: row_is_right(*case), cases) if text]
    print(f"table: {len(servers.FAULTS)} classes of faults; {len(cases) - len(wrong)} of {len(cases)} rows right")
    for how in (REST, INFERENCE, GRPC):
        print(f"    {sum(interface == how for _, interface in cases):4d} rows over {how}")
    print("".join(f"    {text}\n" for text in wrong), end="")


def tell_late(ports: dict[str, int], tell: Callable[..., int], lates: list[Late], calls: int) -> None:
    each = -(-calls // len(lates))
    every: list[float] = []
    asleep = naps(each)
    print("late: beyond the deadline at most, for each kind of server")
    for late in lates:
        seen = late_calls(late, ports, tell, each)
        over = sorted(one.over for one in seen)
        every += over
        answered = sum(one.error is None for one in seen)
        others = sum(one.error not in (DeadlineError, None) for one in seen)
        beside = f"{answered} answered, {others} other errors"
        print(f"    {1e3 * over[-1]:7.1f} ms  {late.interface}: {late.name}; {beside}")
    asleep += naps(each)
    print(f"late: {len(every)} calls, beyond their deadline by {percentiles(every)} (target {TARGET_MS} ms)")
    print(f"      {len(asleep)} sleeps of as long, by {percentiles(asleep)}")


def percentiles(seconds: list[float]) -> str:
    ordered = [1e3 * each for each in sorted(seconds)]
    at = {share: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.99, 0.999)}
    return ", ".join(f"{100 * share:g}th percentile {value:.1f} ms" for share, value in at.items())


def tell_down(ports: dict[str, int], tell: Callable[..., int]) -> None:
    print(f"down: requests for each of {DOWN_CALLS} calls after the budget was spent (target {TARGET_REQUESTS})")
    for down in DOWNS:
        spent, requests, failed = down_requests(down, ports, tell)
        each = requests / DOWN_CALLS
        print(f"    {each:.3f}  {down.interface}: {down.name}; {failed} errors; {spent} calls spent the budget")


def main() -> None:
    """Print the figures of the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2400, help="of servers that are late, at least, over all rows")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="of the three (all)")
    parser.add_argument("--rows", nargs="+", default=[""], help="of servers that are late: a text of each, as printed")
    asked = parser.parse_args()
    lates = [late for late in LATES if any(text in f"{late.interface}: {late.name}" for text in asked.rows)]
    if not lates:
        parser.error(f"--rows: no row of servers that are late has {' or '.join(asked.rows)} in it")
    if "table" in asked.parts:
        tell_table()
    with apart() as (ports, tell):
        if "late" in asked.parts:
            tell_late(ports, tell, lates, asked.calls)
        if "down" in asked.parts:
            tell_down(ports, tell)


if __name__ == "__main__":
    main()
