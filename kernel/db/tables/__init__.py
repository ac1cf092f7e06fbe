"""The tables, by subject. Importing any of them makes all of them known to the metadata."""

from kernel.db.tables import callers, deliveries, orders, service

__all__ = ["callers", "deliveries", "orders", "service"]
