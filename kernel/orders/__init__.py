"""An order's life outside a run: accepted, listed, cancelled, due; and every change of its state.

The path of an order through this room::

    accept ── OrderRequest ──► submit ── the row is committed ──► due ── ids ──► hints, then runs/
                                                                   ▲
                              transitions.leave_running ───────────┘ (decide: pending again)
                              transitions.end_order ── outcome + outbox row ──► delivery/
                              cancel ── pending: end_order; running: noted, honoured by decide

`decide` is pure. `transitions` writes every state; `pages` and `backpressure` read.
"""
