"""Looks names up under a time limit, in a bounded number of threads, shared fairly by callers."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future

from kernel.errors import TransportError
from kernel.transport.connecting.descriptors import are_used_up, is_ours

# Takes the name to look up, ready for the system's resolver, and returns addresses in the order to
# try them. The name ends with a dot, so that no search domain is tried, unless the policy names it.
Resolver = Callable[[str], Sequence[str]]


def system_resolver(name: str) -> list[str]:
    """Ask the system's resolver; socket.gaierror when it knows no address."""
    return [str(info[4][0]) for info in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]


class Lookups:
    """Runs a resolver, which cannot be interrupted, under a time limit.

    Each lookup runs in a thread of its own, one per name under way and ``limit`` at most; posts
    wait for its result, each as long as its own timeout. A stalled name costs one thread, until
    the system's resolver gives up, however many callbacks ask for it. A caller may hold half of
    the slots that other callers leave free, so names that stall leave room for other callers'.
    While the machine gives no thread, the post's own looks the name up, however long that takes.
    """

    def __init__(self, resolver: Resolver, limit: int) -> None:
        self._resolver = resolver
        self._free = limit
        self._held: Counter[Hashable] = Counter()
        self._changed = threading.Condition()
        self._under_way: dict[str, Future[tuple[str, ...]]] = {}

    def resolve(self, name: str, timeout: float, caller: Hashable = None) -> tuple[str, ...]:
        """Return the addresses of ``name``, looked up for ``caller``.

        Raises TransportError: ``dns`` if there are none within ``timeout`` seconds, ``no_room`` if
        the caller had no slot in that time, or this process has no descriptor to ask with.
        """
        deadline = time.monotonic() + timeout
        future = self._join(name, timeout, caller)
        try:
            found = future.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise TransportError("dns", f"{name} did not resolve within {timeout:.1f} s") from None
        except (OSError, RuntimeError, ValueError) as error:
            lacking = isinstance(error, OSError) and (is_ours(error) or are_used_up())
            raise TransportError("no_room" if lacking else "dns", f"{name}: {error}") from None
        if not found:
            raise TransportError("dns", f"{name} has no address")
        return found

    def _join(self, name: str, timeout: float, caller: Hashable) -> "Future[tuple[str, ...]]":
        """Return the lookup of ``name`` that is under way, or begin one."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._may_go_on(name, caller), timeout):
                raise TransportError("no_room", f"{name}: lookups of this caller hold their slots")
            if name in self._under_way:
                return self._under_way[name]
            future: Future[tuple[str, ...]] = Future()
            self._under_way[name] = future
            self._free -= 1
            self._held[caller] += 1
        given = (name, caller, future)
        try:
            threading.Thread(target=self._run, args=given, name="lookup", daemon=True).start()
        except Exception:  # noqa: BLE001 - no thread to be had: this one asks, others wait for it
            self._run(*given)
        return future

    def _may_go_on(self, name: str, caller: Hashable) -> bool:
        held = self._held.get(caller, 0)
        return name in self._under_way or held < (self._free + held + 1) // 2

    def _run(self, name: str, caller: Hashable, future: "Future[tuple[str, ...]]") -> None:
        try:
            future.set_result(tuple(self._resolver(name)))
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            future.set_exception(error)
        finally:
            with self._changed:
                del self._under_way[name]
                self._free += 1
                self._held[caller] -= 1
                if not self._held[caller]:
                    del self._held[caller]
                self._changed.notify_all()
