"""Checks at the start of a process which kind of server answers at the broker's address.

A client library would retry for ever, even against a web server or a database. What cannot work
however long one waits is refused, with the line to type; a server that does not answer may be
late, so that is only a warning.
"""
