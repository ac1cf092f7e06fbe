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
    declared = [one.declared for one in kernel.handlers.parts]
    for one in settings:
        if all(type(one) is not each.model for each in declared):
            raise ConfigurationError(
                f"no registry has the settings {type(one).__name__}: handlers.settings("
                f"{type(one).__name__}) says so"
            )
    kernel.own_settings = {
        each.name: one for one in settings for each in declared if each.model is type(one)
    }
