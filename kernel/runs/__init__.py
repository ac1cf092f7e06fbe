"""One run of an order, from claim to commit.

The path of an order through this room, top to bottom::

    claim.Batch ── Claimed (run + 1, lease) ──► begin.begin_run ── Run ──► the handler
                                                                               │
                  ┌── Outcome ─────────────────────────────────────────────────┤
                  ▼                                                            │
    finish: fence, outcome, outbox row, first attempt, next claim, COMMIT      │
                                                                               │
    leases.leave ◄── Exit: Retry, broken, stopping, bug ───────────────────────┘
        └── orders.transitions.leave_running: pending again, or ended

`fence` holds what a run writes while it owns its order; `leases` renews that ownership.
"""
