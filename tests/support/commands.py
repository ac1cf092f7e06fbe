"""Commands that write no act; every other one is tried by tests/cli/test_acting.py."""

# Commands that write no act, and why.
READS = {
    *("audit export", "audit list", "audit verify"),
    *("bulk list", "bulk show"),
    "callers keys",
    "callers list",
    *("config check", "config show"),
    *(f"deliveries {name}" for name in ("count", "export", "list", "pauses", "show")),
    *("errors list", "errors show"),
    "limits list",
    "orders pauses",
    "listen",
    "notify list",
    "openapi",
    *(f"orders {name}" for name in ("count", "events", "export", "find", "list", "show", "watch")),
    "people list",
    "receivers list",
    "receivers show",
    "receivers stats",
    "schedules list",
    "schedules show",
    "secrets new-key",  # a key, and nothing in the database
    "secrets status",
    "status",
    "top",
    "trends",
    "workers list",
}
NO_ACTS = READS | {
    "bulk run",  # what it does are acts of the person who began the bulk act
    "copy",  # writes into another database, acts and seals as they are
    "demo",  # a database of its own in a temporary folder
    "dispatcher",  # a process of the service: what it does is no person's change
    "migrate",  # tables, not rows: the version says what was done
    "sweep",  # what dispatchers do by themselves
    "up",
    "worker",
}
