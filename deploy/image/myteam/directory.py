"""Orders about people in the directory."""

from ldap3.utils.dn import escape_rdn
from pydantic import BaseModel, Field

from kernel import Handlers, Run

handlers = Handlers()


class NewName(BaseModel):
    """Whose name is asked for."""

    name: str = Field(min_length=1, max_length=100, examples=["Ada, Lovelace"])


class Name(BaseModel):
    """A name that is safe in the directory."""

    dn: str


@handlers.register("name", NewName, result=Name)
def name(run: Run, args: NewName) -> Name:
    """Say how a person is called in the directory."""
    return Name(dn=f"cn={escape_rdn(args.name)},ou=people,dc=example,dc=net")
