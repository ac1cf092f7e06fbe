"""Systems that callbacks go to, as their vendors describe them: real servers, tickets in memory.

    with ServiceNow() as instance:
        instance.open("INC0010001")
        instance.next(faults.lost, on="PATCH")
        ...  # talk to instance.url
        [note] = instance.tickets["INC0010001"].notes

A simulator answers each request as the system would: with the vendor's statuses, members and
oddities. A fault replaces the answer to one request: see `faults`, and the functions beside each
class.
"""
