"""Older releases, run for real, whose data and running orders this code takes over.

`releases` builds and installs their wheels, `older` runs their processes, `past` orders something
of them and says what must become of it, `upgraded` runs this code on what they left, and `records`
keeps what each has left (`python -m tests.upgrade.records` makes that anew).
"""
