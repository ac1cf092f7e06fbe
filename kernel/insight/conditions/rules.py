"""The rules: what counts as wrong, how bad it is, from which limit on, and where the mend stands.

The thresholds stand here alone. `deploy/prometheus/alerts.yml` has an alert for each rule that
names one, and a test compares severity, limit, duration and runbook.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

MINUTE = timedelta(minutes=1)
# An order or a callback that has been due for longer waits too long.
ORDERS_WAIT, CALLBACKS_WAIT = timedelta(seconds=120), timedelta(seconds=300)
OPERATIONS = "docs/operations.md"


class Severity(StrEnum):
    """How bad a condition is: the worst first. A notice is what a person wanted so."""

    CRITICAL = "critical"
    WARNING = "warning"
    NOTICE = "notice"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that can be wrong.

    ``runbook``: page and anchor. ``alert``: the alert of Prometheus that tells of the same, which
    ``asks`` this; None for a rule without one. ``lasts``: for how long it is so before the alert
    fires and before people are notified; pages show it at once. ``stops``: no order can be accepted
    meanwhile.
    """

    key: str
    severity: Severity
    runbook: str
    alert: str | None = None
    asks: str = ""
    lasts: timedelta = timedelta(0)
    stops: bool = False


def _counted(key: str) -> str:
    return f'max(kernel_conditions{{condition="{key}"}}) > 0'


DATABASE_GONE = Rule(
    *("database_gone", Severity.CRITICAL, f"{OPERATIONS}#mariadb-is-gone"),
    *("KernelDatabaseGone", "min(kernel_database_up) == 0", MINUTE),
    stops=True,
)
DATABASE_READ_ONLY = Rule(
    *("database_read_only", Severity.CRITICAL, DATABASE_GONE.runbook),
    # /metrics writes counts first, so it says the same of a database that takes no writes.
    *(DATABASE_GONE.alert, DATABASE_GONE.asks, DATABASE_GONE.lasts),
    stops=True,
)
DATABASE_UNFIT = Rule(
    *("database_unfit", Severity.CRITICAL, f"{OPERATIONS}#what-the-start-refuses"),
    *("KernelDatabaseUnfit", _counted("database_unfit")),
)
SCHEMA_BEHIND = Rule("schema_behind", Severity.CRITICAL, f"{OPERATIONS}#upgrade", stops=True)
SCHEMA_AHEAD = Rule(
    *("schema_ahead", Severity.NOTICE, f"{OPERATIONS}#upgrade"),
)
NO_WORKER = Rule(
    *("no_worker", Severity.CRITICAL, f"{OPERATIONS}#an-order-is-stuck"),
    *("KernelNoWorker", "max(kernel_worker_processes) == 0", 2 * MINUTE),
)
BROKER_GONE = Rule(
    *("broker_gone", Severity.WARNING, f"{OPERATIONS}#redis-or-rabbitmq-is-gone"),
    *("KernelBrokerGone", "min(kernel_broker_up) == 0", 2 * MINUTE),
)
QUEUE_OLD = Rule(
    *("orders_wait", Severity.WARNING, f"{OPERATIONS}#an-order-is-stuck", "KernelOrdersWait"),
    f"max(kernel_orders_due_oldest_seconds) > {ORDERS_WAIT.total_seconds():g}",
    5 * MINUTE,
)
CALLBACKS_OLD = Rule(
    *("callbacks_wait", Severity.WARNING, f"{OPERATIONS}#a-receiver-is-gone"),
    "KernelCallbacksPileUp",
    f"max(kernel_deliveries_due_oldest_seconds) > {CALLBACKS_WAIT.total_seconds():g}",
    10 * MINUTE,
)
RECEIVER_FAILING = Rule(
    *("receiver_failing", Severity.WARNING, f"{OPERATIONS}#a-receiver-is-gone"),
    *("KernelReceiverFailing", _counted("receiver_failing"), MINUTE),
)
DEAD_CALLBACKS = Rule(
    *("dead_callbacks", Severity.WARNING, f"{OPERATIONS}#callbacks-are-dead"),
    *("KernelDeadCallbacks", _counted("dead_callbacks")),
)
NEW_ERROR = Rule(
    *("new_error", Severity.WARNING, f"{OPERATIONS}#a-new-error"),
    *("KernelNewError", _counted("new_error")),
)
SCHEDULE_FAILED = Rule(
    *("schedule_failed", Severity.WARNING, f"{OPERATIONS}#a-recurring-order-was-not-made"),
    *("KernelScheduleFailed", _counted("schedule_failed")),
)
KEY_EXPIRES = Rule(
    *("key_expires", Severity.WARNING, f"{OPERATIONS}#a-key-or-certificate-is-about-to-expire"),
    *("KernelKeyExpires", _counted("key_expires")),
)
CERTIFICATE_EXPIRES = Rule(
    "certificate_expires",
    *(Severity.WARNING, f"{OPERATIONS}#a-key-or-certificate-is-about-to-expire"),
    *("KernelCertificateExpires", _counted("certificate_expires")),
)
PAUSED = Rule("paused", Severity.NOTICE, f"{OPERATIONS}#pauses")
# In the order in which they are shown among those of one severity.
RULES = (
    *(DATABASE_GONE, DATABASE_READ_ONLY, SCHEMA_BEHIND, DATABASE_UNFIT, NO_WORKER, BROKER_GONE),
    *(QUEUE_OLD, CALLBACKS_OLD, RECEIVER_FAILING, DEAD_CALLBACKS, NEW_ERROR, SCHEDULE_FAILED),
    *(KEY_EXPIRES, CERTIFICATE_EXPIRES, SCHEMA_AHEAD, PAUSED),
)
BY_KEY: Mapping[str, Rule] = {one.key: one for one in RULES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A rule that holds now of one subject: a receiver, a key, or "" for the installation.

    ``since``: None when neither the facts nor the rows tell. ``values``: what its sentence is made
    of; a number of seconds is a float, a count an int, a moment a datetime. ``cause``: which of the
    rule's causes it is, a word; "" where none is known.
    """

    rule: Rule
    subject: str = ""
    since: datetime | None = None
    cause: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The rule's name."""
        return self.rule.key

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return self.rule.severity

    @property
    def rank(self) -> tuple[int, int, float, str]:
        """Sort key: the worst first, then by rule, then the longest, then by subject."""
        since = 0.0 if self.since is None else self.since.timestamp()
        return (self.severity.rank, RULES.index(self.rule), since, self.subject)
