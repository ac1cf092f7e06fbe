"""A worker vouches for its tags: it looks once a minute whether they are noted, not every sweep."""

import pytest
from sqlalchemy import select

from kernel.builtin import CreateProject, create_project
from kernel.db.tables.service import SelectTag
from kernel.handlers import Handlers
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance import known_tags
from kernel.worker.maintenance.known_tags import KnownTags
from tests.performance.test_costs import counting


def noted(kernel: Kernel) -> set[str]:
    with kernel.read_session() as session:
        return set(session.scalars(select(SelectTag.tag)))


def test_tags_are_looked_up_once_a_minute(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    tags = KnownTags(kernel)
    tags.note()
    assert noted(kernel) == set(kernel.handlers)
    with counting(kernel) as counts:
        tags.note()
        assert counts["statements"] == 0
        monkeypatch.setattr(known_tags, "LOOK_SECONDS", 0.0)
        tags.note()
    assert counts["statements"] == 1


def test_new_tag_is_noted_soon_when_handlers_are_taken_anew(kernel: Kernel) -> None:
    tags = KnownTags(kernel)
    tags.note()
    changed = Handlers()
    changed.register("another", CreateProject)(create_project)
    kernel.handlers = changed
    tags.note()
    assert "another" in noted(kernel)
