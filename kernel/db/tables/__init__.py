"""The tables, by subject. Importing any of them makes all of them known to the metadata."""

from kernel.db.tables import (
    audit,
    callers,
    deliveries,
    gates,
    limits,
    orders,
    people,
    receivers,
    schedules,
    service,
    steps,
)
from kernel.db.tables.operating import bulk, conditions, errors, pauses, runs, trends

__all__ = [
    "audit",
    "bulk",
    "callers",
    "conditions",
    "deliveries",
    "errors",
    "gates",
    "limits",
    "orders",
    "pauses",
    "people",
    "receivers",
    "runs",
    "schedules",
    "service",
    "steps",
    "trends",
]
