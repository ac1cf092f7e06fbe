"""The receiver of callbacks: a process of its own that records when each callback arrived.

    python -m bench.receiver PORTS

PORTS is the number of ports, each an origin; it prints them. A callback goes to /ROUND/NUMBER and
is answered with 200, with ?ms=500 after half a second, with ?status=500 by that status; with
?first_ms=500 only the first arrival waits. GET /ROUND returns {NUMBER: monotonic time of the first
arrival}, GET /ROUND/all {NUMBER: [time of each arrival]}.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import defaultdict
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bench.wire import Connection, make_request, read_message
from kernel.cli.local.supervisor import tethered

_ANSWER = b"HTTP/1.1 %d Answered\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
_arrivals: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))


async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head, _ = await read_message(reader)
            method, target = head.split(b" ", 2)[:2]
            writer.write(await _answer(method, urlsplit(target.decode())))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _answer(method: bytes, target: "urlsplit") -> bytes:  # type: ignore[valid-type]
    name, _, number = target.path.strip("/").partition("/")
    if method == b"GET":
        found = {
            one: times if number == "all" else times[0] for one, times in _arrivals[name].items()
        }
        body = json.dumps(found).encode()
        return _ANSWER % (200, len(body), body)
    arrived = _arrivals[name][int(number)]
    arrived.append(time.monotonic())
    asked = parse_qs(target.query)
    if "first_ms" in asked and len(arrived) == 1:
        await asyncio.sleep(int(asked["first_ms"][0]) / 1000)
    if "ms" in asked:
        await asyncio.sleep(int(asked["ms"][0]) / 1000)
    return _ANSWER % (int(asked.get("status", ["200"])[0]), 2, b"{}")


async def _serve(count: int) -> None:
    servers = [await asyncio.start_server(_talk, "127.0.0.1", 0) for _ in range(count)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


class Receiver:
    """Starts the receiver's process and asks it for arrivals.

    `url` takes the first ``origins`` in turn; ``more`` further ones are in ``others``.
    """

    def __init__(self, origins: int = 8, more: int = 0) -> None:
        argv = [sys.executable, "-m", "bench.receiver", str(origins + more)]
        self._process = subprocess.Popen(tethered(argv), stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        ports = [int(port) for port in self._process.stdout.readline().split()]
        self.ports, self.others = ports[:origins], ports[origins:]

    def url(self, name: str, number: int, delay_ms: int = 0) -> str:
        """Return the callback address of an order; the origins take turns."""
        delay = f"?ms={delay_ms}" if delay_ms else ""
        return f"http://127.0.0.1:{self.ports[number % len(self.ports)]}/{name}/{number}{delay}"

    async def arrivals(self, name: str) -> dict[int, float]:
        """Return the first arrival of each callback of a round, in monotonic seconds."""
        return await self._ask(f"/{name}")

    async def all_arrivals(self, name: str) -> dict[int, list[float]]:
        """Return every arrival of each callback of a round, in monotonic seconds."""
        return await self._ask(f"/{name}/all")

    async def _ask(self, path: str) -> dict[int, Any]:
        connection = Connection(self.ports[0])
        _, body = await connection.send(make_request(path, b"", {}))
        connection.close()
        return {int(number): moment for number, moment in json.loads(body).items()}

    def close(self) -> None:
        """End the process."""
        with self._process:
            self._process.terminate()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
