"""An OpenID provider on a real socket, in a process of its own, built on authlib's server side.

    with Provider(redirect_uri) as provider:
        provider.tell(lie="audience")   # or rotate=True, or slow=3 (seconds)
        provider.stop()                 # nobody listens there any more

People sign in with their name alone; `PEOPLE` says in which groups they are. It holds PKCE, the
client's secret, the redirect URI and single use of codes to the letter.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import requests

from kernel.cli.local.supervisor import free_port
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
CLIENT, SECRET = "kernel-here", "a secret with : / and %41 in it, long enough for HS256"
PEOPLE: dict[str, dict[str, Any]] = {
    "alice": {"groups": ["staff", "noc", "kernel-admins"]},
    "norah": {"groups": ["noc"]},
    "vera": {"groups": "kernel viewers"},
    "otto": {"groups": ["staff"]},
    "nell": {},
    "ursula": {"in_userinfo": {"groups": ["noc"]}},
    "mallory": {"in_userinfo": {"groups": ["noc"], "sub": "sub-alice"}},
}
ROLES = "kernel-admins=admin, noc=operator, kernel viewers=viewer"


class Provider:
    """The process, while entered. Its issuer has a path, as Keycloak's has."""

    def __init__(self, redirect_uri: str) -> None:
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}/realms/people"
        self._redirect_uri = redirect_uri

    @property
    def settings(self) -> dict[str, str]:
        """What kernel has to know of it, but KERNEL_PUBLIC_URL."""
        return {
            "oidc_issuer": self.issuer,
            "oidc_client_id": CLIENT,
            "oidc_client_secret": SECRET,
            "oidc_roles": ROLES,
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers; with fresh keys each time."""
        argv = [sys.executable, "-m", "tests.support.oidc_provider.server"]
        self._process = subprocess.Popen(
            [*argv, str(self.port), self.issuer, self._redirect_uri],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        wait_until(self._answers, 30.0, "the provider")

    def stop(self) -> None:
        """End it: connections to it are refused from now on."""
        self._process.kill()
        self._process.wait()

    def tell(self, **told: Any) -> None:
        """Have it lie, be slow, rotate its keys; ``lie=""`` makes it honest again."""
        requests.post(f"{self.issuer}/told", json=told, timeout=10).raise_for_status()

    def asked(self) -> list[str]:
        """Return the paths below the issuer that it was asked for, in order."""
        found: list[str] = requests.get(f"{self.issuer}/told", timeout=10).json()
        return found

    def sign_in(self, address: str, name: str) -> str:
        """Sign in as a person would, at the address of the redirect; return where it leads."""
        answer = requests.post(address, data={"name": name}, timeout=10, allow_redirects=False)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def _answers(self) -> bool:
        assert self._process.poll() is None, "the provider has ended"
        try:
            return requests.get(f"{self.issuer}/jwks", timeout=1).ok
        except requests.ConnectionError:
            return False
