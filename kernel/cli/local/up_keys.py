"""The keys that `kernel up` prints: made once, and kept for the next start beside the data.

So a line that was copied yesterday works today. They stand in clear in a file that its user alone
can read, as the data do that they open.
"""

import json
import os
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from kernel.callers import identity, keys
from kernel.callers.callback_rules import CallerRules
from kernel.callers.identity import Scope
from kernel.callers.keys import Credentials, KeyTerms
from kernel.callers.profile import profiles_of
from kernel.config.private_files import FILE, opener
from kernel.errors import NotFound, Unauthenticated
from kernel.runtime.kernel import Kernel

# The caller that `kernel up` adds, and the operator, whose key signs in to the dashboard.
CALLER, OPERATOR = "kernel-up", "kernel-up-operator"
LOOPBACK = "127.0.0.1/32"


class UpKeys:
    """The keys of `CALLER` and `OPERATOR`, kept in ``file``.

    A key that the database does not know (it is another one, say), or that has ended, is replaced.
    """

    def __init__(self, kernel: Kernel, file: Path) -> None:
        self._kernel, self._file = kernel, file
        self._kept = self._read()

    def caller(self) -> tuple[str, list[str]]:
        """Return the key and the signing secrets of `CALLER`, which is added if missing."""
        key = self._key(CALLER)
        with self._kernel.read_session() as session:
            caller_id, now = identity.find(session, CALLER).id, self._kernel.clock.now()
            profile = profiles_of(session.connection(), [caller_id], now)[caller_id]
            return key, [one.get_secret_value() for one in profile.secrets]

    def operator(self) -> str:
        """Return the key of `OPERATOR`, who is added if missing."""
        return self._key(OPERATOR)

    def _key(self, name: str) -> str:
        now = self._kernel.clock.now()
        with self._kernel.write_session() as session:
            if self._is_good(session, name, now):
                return self._kept[name]
            made = self._made(session, name, now)
        assert made.api_key is not None  # noqa: S101 - both ways make one
        self._kept[name] = made.api_key.get_secret_value()
        self._write()
        return self._kept[name]

    def _is_good(self, session: Session, name: str, now: datetime) -> bool:
        try:
            found = identity.identify(session, self._kept.get(name, ""), now)
        except Unauthenticated:
            return False
        return found.name == name

    def _made(self, session: Session, name: str, now: datetime) -> Credentials:
        ends = now + timedelta(days=self._kernel.settings.key_days)
        scopes = {OPERATOR: KeyTerms(frozenset({Scope.OPERATOR}), ends)}
        terms = scopes.get(name, KeyTerms(expires_at=ends))
        try:
            return keys.rotate_key(session, name, now, terms)
        except NotFound:
            rules = CallerRules(nets=[LOOPBACK]) if name == CALLER else CallerRules()
            return keys.add(session, name, now, rules, terms)

    def _read(self) -> dict[str, str]:
        with suppress(OSError, ValueError):
            found = json.loads(self._file.read_text())
            return {name: key for name, key in found.items() if isinstance(key, str)}
        return {}

    def _write(self) -> None:
        beside = self._file.with_name(f"{self._file.name}.new")
        with open(beside, "w", opener=opener) as file:
            os.fchmod(file.fileno(), FILE)
            json.dump(self._kept, file)
        beside.replace(self._file)
