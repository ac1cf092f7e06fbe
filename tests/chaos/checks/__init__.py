"""The checks of the ledger by subject, and the record that all of them read.

``record`` is the record; ``contents`` what callbacks and polls say; ``attempts`` their rows against
what the receivers counted; ``asked`` cancels, pauses, redeliveries, replays and pruned orders.
"""
