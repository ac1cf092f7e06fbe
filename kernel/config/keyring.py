"""The keys that seal secrets in the database, so that a stolen dump opens nothing.

A sealed text is ``sealed:``, the id of its key, and a Fernet token (AES and HMAC). The id is the
beginning of a hash of the key: it tells which key is missing, and nothing of the key itself.
"""

import base64
import hashlib
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Self

from cryptography.fernet import Fernet, InvalidToken
from pydantic import SecretStr

from kernel.config.checks import KEY_FORM, check_keys, database_file, split
from kernel.config.private_files import opener
from kernel.config.settings import Settings
from kernel.errors import ConfigurationError, SecretsLocked, Unavailable

MARK = "sealed:"
# Seconds that KERNEL_SECRETS_KEY_COMMAND may take.
COMMAND_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True, repr=False)
class Keyring:
    """Seals with its first key and opens with every one; without a key it leaves texts as they are.

    Make it with `of`. It is neither printed nor pickled.
    """

    _keys: tuple[tuple[str, Fernet], ...] = ()
    _source: str = "KERNEL_SECRETS_KEY"

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Make the keyring that the settings name; run KERNEL_SECRETS_KEY_COMMAND if it is set.

        Without a setting it is that of `own_file`, where there is one. Raises ConfigurationError,
        without any of a key in it, and Unavailable when the command fails.
        """
        if settings.secrets_key_command:
            return cls.from_text(_asked(settings.secrets_key_command), _COMMAND)
        own = own_file(settings)
        if own is not None and not settings.secrets_key.get_secret_value() and own.is_file():
            return cls.from_text(SecretStr(_read(own)), str(own))
        return cls.from_text(settings.secrets_key, _SETTING)

    @classmethod
    def from_text(cls, text: SecretStr, source: str) -> Self:
        """Read keys with commas or white space between. ``source`` names them in errors.

        Raises ConfigurationError.
        """
        try:
            check_keys(text)
        except ValueError as error:  # which quotes nothing
            raise ConfigurationError(f"{source}: {error}") from None
        return cls(tuple(_named(key) for key in split(text.get_secret_value())), source)

    @property
    def is_empty(self) -> bool:
        """Whether there is no key, so that secrets are stored in clear."""
        return not self._keys

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the keys; the first one seals."""
        return tuple(name for name, _ in self._keys)

    def seal(self, clear: SecretStr) -> str:
        """Return what is to be stored: sealed with the first key; without a key the text itself."""
        text = clear.get_secret_value()
        if self._keys:
            name, fernet = self._keys[0]
            return f"{MARK}{name}:{fernet.encrypt(text.encode()).decode('ascii')}"
        if text.startswith(MARK):  # it would be taken for a sealed one
            raise ValueError(f"a text that begins with {MARK} can be stored with a key only")
        return text

    def open(self, stored: str) -> SecretStr:
        """Return the text that was sealed; one without the mark is clear text, returned as it is.

        Raises SecretsLocked when none of the keys opens it.
        """
        name = key_id(stored)
        if name is None:
            return SecretStr(stored)
        token = stored.removeprefix(f"{MARK}{name}:").encode()
        for known, fernet in self._keys:
            if known == name:
                try:
                    return SecretStr(fernet.decrypt(token).decode())
                except (InvalidToken, UnicodeDecodeError):
                    raise SecretsLocked(
                        f"a secret was changed after it had been sealed with the key {name}"
                    ) from None
        raise SecretsLocked(f"a secret is sealed with the key {name}, and {self.describe()}")

    def describe(self) -> str:
        """Say in words which keys there are, by their ids."""
        if self.is_empty:
            return f"{self._source} is not set"
        return f"{self._source} has {', '.join(self.ids)}"

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self.ids) or 'empty'})"

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a keyring is not pickled: it holds keys")


def key_id(stored: str) -> str | None:
    """Return the id of the key that a stored text is sealed with; None for clear text."""
    return stored.removeprefix(MARK).partition(":")[0] if stored.startswith(MARK) else None


def new_key() -> SecretStr:
    """Return a fresh key: 32 random bytes in URL-safe base64."""
    return SecretStr(Fernet.generate_key().decode("ascii"))


def own_file(settings: Settings) -> Path | None:
    """Return the file in which `kernel up` keeps a key: beside a database that is a file."""
    file = database_file(settings.database_url)
    return None if file is None else file.with_name(file.name + ".key")


_SETTING, _COMMAND = "KERNEL_SECRETS_KEY", "KERNEL_SECRETS_KEY_COMMAND"


def _named(key: str) -> tuple[str, Fernet]:
    digest = hashlib.sha256(b"kernel secrets key " + base64.urlsafe_b64decode(key)).hexdigest()
    return digest[:8], Fernet(key)


def _read(file: Path) -> str:
    try:
        with open(file, opener=opener) as found:
            return found.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}") from None


def _asked(command: str) -> SecretStr:
    """Return what the command prints. What it says on standard error goes to ours.

    Raises Unavailable when it fails, for a vault may come back, else ConfigurationError.
    """
    try:
        done = subprocess.run(
            _words(command), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
            timeout=COMMAND_TIMEOUT, check=False,
        )  # fmt: skip
        text = SecretStr(done.stdout.decode())
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{_COMMAND}: no answer in {COMMAND_TIMEOUT:g} s") from None
    except OSError as error:
        raise ConfigurationError(f"{_COMMAND} cannot be run: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{_COMMAND}: {KEY_FORM}") from None
    if done.returncode:
        raise Unavailable(f"{_COMMAND} failed with exit code {done.returncode}")
    if not text.get_secret_value().strip():
        raise ConfigurationError(f"{_COMMAND} printed nothing")
    return text


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise ConfigurationError(f"{_COMMAND}: {error}") from None
