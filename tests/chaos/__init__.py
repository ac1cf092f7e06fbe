"""`./run chaos`: servers and processes are killed under load, and what is lost is counted.

``__main__`` starts everything; ``stack`` is the system under test and its keeper; ``load`` the
clients; ``traffic`` what they do besides ordering; ``receiver`` what gets the callbacks; ``faults``
the table of faults; ``ledger`` the checks at the end, by subject in ``checks``; ``report`` their
table; ``breaks`` and ``mutants`` the switches that break kernel on purpose.
"""
