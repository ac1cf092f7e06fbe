"""Settings of handlers' own, as a test says they are."""

from pydantic import BaseModel

from kernel.errors import ConfigurationError
from kernel.runtime.kernel import Kernel


def use_settings(kernel: Kernel, *settings: BaseModel) -> None:
    """Have ``run.settings`` be these, by their classes; the environment is not asked::

        use_settings(kernel, GitlabSettings(url="https://gitlab.example", token="t"))

    Those of other registries are not there. Raises ConfigurationError for a class that no registry
    of the kernel's handlers has.
    """
    names = {one.declared.model: one.declared.name for one in kernel.handlers.parts}
    for one in settings:
        if type(one) not in names:
            raise ConfigurationError(
                f"no registry has the settings {type(one).__name__}: handlers.settings("
                f"{type(one).__name__}) says so"
            )
    kernel.own_settings = {names[type(one)]: one for one in settings}
