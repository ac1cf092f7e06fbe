"""The handlers of a team: a registry for each system, put together here."""

from kernel import Handlers

from . import directory

handlers = Handlers()
handlers.include(directory.handlers, prefix="directory.")
