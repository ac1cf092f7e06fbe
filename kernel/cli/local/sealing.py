"""`kernel up` makes a key for a database that is a file, and seals the secrets in it."""

import logging
from contextlib import suppress

from kernel.cli.opening import opened
from kernel.config.keyring import Keyring, new_key, own_file
from kernel.config.private_files import write_new
from kernel.config.settings import Settings
from kernel.runtime.rotation import count_sealed, rotate

log = logging.getLogger(__name__)


def seal_embedded(settings: Settings) -> None:
    """Make the file of the key unless a key is set or there is one, and seal what is in clear.

    A database on a server has other processes, on other hosts perhaps, that would lack the key:
    nothing is done for one. Nor is a new key made while secrets are sealed with a key that is
    lost: the check at the start says so. Raises ConfigurationError.
    """
    file = own_file(settings)
    if file is None:
        return
    if Keyring.of(settings).is_empty:
        with opened(settings) as kernel:
            if any(one.key is not None for one in count_sealed(kernel)):
                return
        with suppress(FileExistsError):  # another process was faster
            write_new(file, new_key().get_secret_value() + "\n")
    with opened(settings) as kernel:
        if set(kernel.keyring.ids) >= {one.key for one in count_sealed(kernel) if one.key}:
            rotate(kernel, log.debug)
