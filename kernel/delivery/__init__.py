"""The path of a callback, from the row that an outcome's commit wrote to the receiver.

One file per step; each returns what only the next one takes::

    outbox row, committed with the outcome (runs, orders)
        │
        │ due                           claimed in that commit: a sender thread is free
        ▼                                                 │
    lanes          shares of the free slots               │
        │ {Lane: count}                                   │
        ▼                                                 ▼
    claim          T4, batches                 first_attempt   no T4, no wait
        │                                                 │
        └───────────────── DueDelivery ◄──────────────────┘
                                │
                                ▼
    attempt        one request in a sender thread, no transaction open; `outgoing` says which
                                │
                                ▼
    transport.backoff           Delivered, RetryIn or Dead, from a pure function
                                │
                                │ FinishedAttempt
                                ▼
    record         T5, one commit for a batch: attempts, and
                   delivered │ pending, due later │ dead

How much goes out at once is said by `slots` (sender threads per origin), `breakers` (origins that
fail) and `lanes` (callers in turn); `pauses` and `redeliver` are what people do with deliveries. A
process that dies on the way leaves a claim that runs out: the row is due again.
"""
