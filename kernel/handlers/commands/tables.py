"""The tables of a file of commands, as they are written: keys, types and bounds."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

# What an argument of each type may say beside type, description, examples, required and default.
KEYS = {
    "str": {"pattern", "min_length", "max_length", "choices", "dash"},
    "int": {"minimum", "maximum", "choices", "dash"},
    "bool": set[str](),
    "secret": {"min_length", "max_length"},
    "list": {
        *("items", "min_items", "max_items", "join"),
        *("pattern", "min_length", "max_length", "choices", "minimum", "maximum", "dash"),
    },
}
COMMON = {"type", "description", "examples", "required", "default"}
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,199}$")]
# Linux takes 128 KiB as one argument; a character may be four bytes.
MAX_TEXT = 30_000
Count = Annotated[int, Field(ge=0, le=MAX_TEXT)]
Seconds = Annotated[float, Field(gt=0, le=31_536_000)]


class Table(BaseModel):
    """A table of the file; keys that it does not have are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Argument(Table):
    """An argument of the order: ``[TAG.arguments.NAME]``."""

    type: Literal["str", "int", "bool", "list", "secret"] = "str"
    description: str = ""
    examples: list[Any] = []
    required: bool = True
    default: Any = None
    # A text as a whole fits it.
    pattern: str | None = None
    min_length: Count = 0
    max_length: Annotated[int, Field(ge=1, le=MAX_TEXT)] = 1000
    choices: list[str] | list[int] | None = None
    minimum: int | None = None
    maximum: int | None = None
    items: Literal["str", "int"] = "str"
    min_items: Count = 0
    max_items: Annotated[int, Field(ge=1, le=1000)] = 100
    # What stands between the items of a list that is one text.
    join: Annotated[str, Field(min_length=1, max_length=10)] | None = None
    # Whether the value may begin with -, where it is the beginning of an entry of argv.
    dash: bool = False


class Condition(Table):
    """Entries of argv that are there only if an argument is given, and neither false nor empty."""

    given: Name = Field(alias="if")
    then: Annotated[list[str], Field(min_length=1)]


class Exit(Table):
    """What an exit code means: the order fails, ends with a warning, or is run again."""

    code: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")] | None = None
    message: Annotated[str, Field(max_length=500)] = ""
    warning: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    retry: Annotated[float, Field(ge=0, le=2_592_000)] | None = None
    tries: Annotated[int, Field(ge=1)] | None = None


class Command(Table):
    """A command: ``[TAG]``."""

    program: Annotated[str, Field(min_length=1)]
    argv: list[str | Condition] = []
    description: str = ""
    arguments: dict[Name, Argument] = {}
    directory: str = "."
    # Variables that the program gets from the worker, as they are, and those that are set for it.
    keep: list[Variable] = []
    environment: dict[Variable, str] = {}
    stdin: str | None = None
    stdin_json: bool = False
    # Texts that the program reads from a descriptor; the name stands for its path.
    files: dict[Name, str] = {}
    time_limit: Seconds | None = None
    soft_limit: Seconds | None = None
    stop_seconds: Annotated[float, Field(ge=0, le=60)] = 5.0
    output_bytes: Annotated[int, Field(ge=1024, le=1_073_741_824)] = 10_485_760
    # Whether lines of stdout may mean something, and whether callers may read what it says.
    lines: bool = True
    quiet: bool = False
    # Whether it may be run again after an interruption, and how often a worker may die in it.
    again: bool = False
    max_runs: Annotated[int, Field(ge=1)] | None = None
    exit_codes: dict[Annotated[str, Field(pattern=r"^[1-9][0-9]{0,2}$")], Exit] = {}
    concurrency: int | None = None
    rate: str | None = None
    per: str | None = None
    reference: str | None = None
    title: str | dict[str, str] | None = None
    says: str | dict[str, str] | None = None
