"""What the programs of the durable engines share: the API, the row, the POST.

It runs in each engine's own virtual environment, with uvicorn or Hypercorn, aiohttp and psycopg:
the quickest of their kind, so that a figure shows the engine and not what we put around it.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import aiohttp
from psycopg_pool import AsyncConnectionPool

DATABASE_URL = os.environ.get("BENCH_DATABASE_URL", "postgresql://kernel@127.0.0.1/bench")
# Orders that each of the two worker processes has in hand. Of its 256 senders kernel gives 192 to
# slow receivers.
CONCURRENCY = 200
POOL = 10
LEASE_SECONDS = 30
TIMEOUT = aiohttp.ClientTimeout(total=15)

# An engine runs a function again after a crash: the row is there once all the same.
INSERT = """INSERT INTO project_tb_project (order_id, projname, prodesc) VALUES (%s, %s, %s)
    ON CONFLICT (order_id) DO NOTHING"""

Order = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class Refused(Exception):
    """The receiver has not answered with 2xx: the engine tries again later."""


def pause(attempt: int) -> int:
    """Return the seconds before the attempt that follows the ``attempt``-th: 5, 10, 20 to 3600."""
    return int(min(3600, 5 * 2 ** min(attempt - 1, 20)))


class Outside:
    """One process's connections to its database and to receivers, made in the loop that asks."""

    def __init__(self) -> None:
        self._pool: AsyncConnectionPool | None = None
        self._session: aiohttp.ClientSession | None = None
        self._lock = asyncio.Lock()

    async def pool(self) -> AsyncConnectionPool:
        """Return the pool; each statement commits by itself, for none needs another."""
        async with self._lock:
            if self._pool is None:
                kwargs = {"autocommit": True}
                pool = AsyncConnectionPool(
                    DATABASE_URL, min_size=2, max_size=POOL, kwargs=kwargs, open=False
                )
                await pool.open(wait=True)
                self._pool = pool
            return self._pool

    async def work(self, order: Order) -> None:
        """Write the order's row. With ``work_url``, another system is called first."""
        if url := order.get("work_url"):
            await self._post(url, {})
        async with (self._pool or await self.pool()).connection() as connection:
            row = (order["id"], order["projname"], order["prodesc"])
            await connection.execute(INSERT, row)

    async def call_back(self, order: Order) -> None:
        """Tell the outcome. Raises Refused, or aiohttp's errors."""
        data = {"order_id": order["id"], "projname": order["projname"]}
        await self._post(order["callback_url"], {"status": 0, "msg": "success", "data": data})

    async def _post(self, url: str, body: dict[str, Any]) -> None:
        if self._session is None:
            limit = aiohttp.TCPConnector(limit=2 * CONCURRENCY)
            self._session = aiohttp.ClientSession(timeout=TIMEOUT, connector=limit)
        async with self._session.post(url, json=body) as response:
            await response.read()
            if response.status // 100 != 2:
                raise Refused(f"{url} answered {response.status}")


outside = Outside()


def check(order: Any) -> Order:
    """Return the order with an id. Raises ValueError: what is missing."""
    if not isinstance(order, dict) or order.get("select_tag") != "create_project":
        raise ValueError("select_tag")
    for name in ("projname", "prodesc", "callback_url"):
        if not isinstance(order.get(name), str) or not order[name]:
            raise ValueError(name)
    return {**order, "id": str(uuid4())}


class Api:
    """An ASGI application: POST an order, and it is answered with 202 once ``accept`` has kept it.

    ``start`` runs before the first request, ``stop`` after the last.
    """

    def __init__(
        self,
        accept: Callable[[Order], Awaitable[None]],
        start: Callable[[], Awaitable[None]],
        stop: Callable[[], Awaitable[None]],
    ) -> None:
        self._accept, self._start, self._stop = accept, start, stop

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request, or the start and the end of the server."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        try:
            order = check(json.loads(body))
        except ValueError as error:
            await _answer(send, 400, {"error": str(error)})
            return
        await self._accept(order)
        await _answer(send, 202, {"order_id": order["id"], "state": "pending"})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await self._start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._stop()
        await send({"type": "lifespan.shutdown.complete"})


async def _answer(send: Send, status: int, body: dict[str, Any]) -> None:
    encoded = json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(encoded))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": encoded})
