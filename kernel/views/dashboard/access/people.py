"""People and their sessions, for admins: who may sign in, who is signed in, and ending that."""

import logging

from flask import Response
from sqlalchemy import select

from kernel.callers.people import people
from kernel.callers.people.roles import Role
from kernel.callers.people.sessions import end_session, list_sessions
from kernel.db.tables.people import Person
from kernel.errors import NotFound
from kernel.views.dashboard.frame import Frame
from kernel.views.dashboard.lists.query import row_id
from kernel.views.http.sessions import Visitor

log = logging.getLogger(__name__)


def people_pages(frame: Frame) -> None:
    """Add the pages to ``frame``."""
    kernel = frame.kernel

    @frame.page("/people", Role.ADMIN)
    def people_page(visitor: Visitor) -> Response:
        with kernel.read_session() as session:
            known = session.scalars(select(Person).order_by(Person.name)).all()
            session.expunge_all()
            found = list_sessions(session, kernel.clock.now(), frame.sessions.lasts)
        own = None if visitor.session is None else visitor.session.id
        return frame.render("dashboard/people/list.html", known=known, sessions=found, own=own)

    @frame.change("/sessions/<session_id>/end", Role.ADMIN)
    def end_other_session(visitor: Visitor, session_id: str) -> Response:
        try:
            with kernel.write_session() as session:
                end_session(session, row_id(session_id), frame.by(visitor))
        except NotFound:  # it has ended meanwhile
            return frame.back("people_page", "done_session_over")
        log.info("session ended", extra={"person": visitor.name, "session_id": session_id})
        return frame.back("people_page", "done_session_ended")

    @frame.change("/people/<person_id>/disable", Role.ADMIN)
    def disable_person(visitor: Visitor, person_id: str) -> Response:
        with kernel.write_session() as session:
            person = session.get(Person, row_id(person_id))
            if person is None:
                raise NotFound
            people.disable(session, person, kernel.clock.now(), frame.by(visitor))
        log.info("person disabled", extra={"person": visitor.name, "target": person.name})
        return frame.back("people_page", "done_person_disabled")

    @frame.change("/people/<person_id>/enable", Role.ADMIN)
    def enable_person(visitor: Visitor, person_id: str) -> Response:
        with kernel.write_session() as session:
            person = session.get(Person, row_id(person_id))
            if person is None:
                raise NotFound
            people.enable(session, person, frame.by(visitor))
        log.info("person enabled", extra={"person": visitor.name, "target": person.name})
        return frame.back("people_page", "done_person_enabled")
