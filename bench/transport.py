"""Compares the cost of a guarded keep-alive POST with that of a plain requests.Session.

    python -m bench.transport [posts per round] [rounds]

The receiver runs in a process of its own, so the CPU time shown is the sender's alone. The rounds
of all variants alternate and the table shows medians, so that a busy machine affects all alike.
"""

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import requests

from kernel.transport.addresses import CallbackPolicy
from kernel.transport.client import Request, Transport

BODY = b'{"status":0,"msg":"success","data":{"order_id":"0199","select_tag":"create_project"}}'
HEADERS = {
    "content-type": "application/json",
    "webhook-id": "msg_0199aaaa",
    "webhook-timestamp": "1790000000",
    "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
}
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            writer.write(ANSWER)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _serve() -> None:
    server = await asyncio.start_server(_talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _round(post: Callable[[], object], count: int) -> tuple[float, float]:
    """Return the milliseconds of CPU and of elapsed time per POST."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
        post()
    spent = time.process_time() - cpu, time.perf_counter() - wall
    return spent[0] * 1000 / count, spent[1] * 1000 / count


def _measure(port: int, count: int, rounds: int) -> None:
    url = f"http://127.0.0.1:{port}/hook"
    plain, quiet, guarded = requests.Session(), requests.Session(), Transport()
    quiet.trust_env = False
    policy = CallbackPolicy.from_strings(("127.0.0.1/32",))
    variants: dict[str, Callable[[], object]] = {
        "requests.Session": lambda: plain.post(url, data=BODY, headers=HEADERS, timeout=15),
        "  trust_env=False": lambda: quiet.post(url, data=BODY, headers=HEADERS, timeout=15),
        "kernel.transport": lambda: guarded.send(Request(url, HEADERS, BODY), policy),
    }
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, post in variants.items():
            results[name].append(_round(post, count))
    print(f"{'keep-alive POST':20}{'CPU ms':>10}{'ms':>10}   ({rounds} rounds of {count})")
    for name, spent in results.items():
        cpu, wall = (statistics.median(values) for values in zip(*spent, strict=True))
        print(f"{name:20}{cpu:10.3f}{wall:10.3f}")
    for session in (plain, quiet, guarded):
        session.close()


def main() -> None:
    """Start the receiver, measure, print the table."""
    if sys.argv[1:] == ["serve"]:
        asyncio.run(_serve())
        return
    numbers = [int(argument) for argument in sys.argv[1:]]
    count, rounds = (numbers + [1000, 9][len(numbers) :])[:2]
    command = [sys.executable, "-m", "bench.transport", "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout
        try:
            _measure(int(receiver.stdout.readline()), count, rounds)
        finally:
            receiver.terminate()


if __name__ == "__main__":
    main()
