"""The callers besides the first: one that is paused by its name, and an operator."""

from kernel.builtin import handlers as builtin_handlers
from kernel.callers import keys
from kernel.callers.identity import Scope
from kernel.config.settings import load as load_settings
from kernel.runtime.kernel import Kernel
from tests.chaos.load import Account
from tests.chaos.receiver import Receiver
from tests.chaos.stack import System

SECOND = "chaos-second"


def make_accounts(system: System) -> tuple[list[Account], str]:
    """Return the accounts that order, and an operator's key.

    The second account has a receiver of its own, so that a POST's port tells whose callback it is.
    """
    urls = tuple(receiver.url for receiver in system.receivers)
    settings = load_settings(database_url=system.database_url, result_backend="")
    kernel = Kernel(settings, builtin_handlers)
    with kernel.write_session() as session:
        now = kernel.clock.now()
        made = keys.add(session, SECOND, now)
        terms = keys.KeyTerms(frozenset({Scope.OPERATOR}))
        operator = keys.add(session, "chaos-operator", now, terms=terms)
    kernel.close()
    assert made.api_key is not None
    assert made.signing_secret is not None
    assert operator.api_key is not None
    receiver = Receiver(system.calls, made.signing_secret.get_secret_value())
    system.receivers.append(receiver)
    first = Account("chaos", system.api_key, urls)
    second = Account(SECOND, made.api_key.get_secret_value(), (receiver.url,))
    return [first, second], operator.api_key.get_secret_value()
