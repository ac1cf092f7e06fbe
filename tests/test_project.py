"""What guards the edges of the code itself: exports, docs, sizes, and who may import or do what."""

import ast
import inspect
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import kernel
from kernel import errors
from kernel.config.settings import FOREIGN, PREFIX, Settings
from kernel.config.toml_file import CONFIG_FILE
from kernel.formats.texts import TEXTS
from kernel.views.http.errors import HTTP_CODES, STATUS

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "kernel").rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in SOURCES}

MAX_FILE, MAX_FUNCTION, MAX_PARAMETERS = 300, 50, 6

# Where a transaction may end: a claim, a run's checkpoint and outcome; `Kernel.write_session`
# commits by its own block. `mysql_driver` is a driver: it says what a commit means inside XA.
COMMITTING = ("runs/fence", "runs/together/company", "db/dialects/mysql_driver")
OUTBOUND = {"requests", "urllib3", "socket"}
# The one way out, and what finds a free loopback port or asks whether one is taken.
MAY_DIAL = {
    f"kernel/transport/{name}.py"
    for name in (
        *("adapter", "client", "connections", "connecting/connect", "connecting/descriptors"),
        *("connecting/lookups", "connecting/proxy", "connecting/sockets", "connecting/tls"),
    )
}
LOCAL = "kernel/cli/local"
MAY_LISTEN = {"kernel/config/listening.py", f"{LOCAL}/supervisor.py", f"{LOCAL}/programs.py"}
# Asks a broker, once, whether it is one.
MAY_ASK = {"kernel/runtime/broker_probe/first_bytes.py"}
# Sets options of sockets that others have connected.
MAY_SET = {"kernel/config/keep_alive.py"}
QUEUEING = {"celery", "kombu", "billiard"}
MAY_QUEUE = {
    "kernel/worker/broker.py",
    "kernel/worker/celery_app.py",
    "kernel/worker/pool/consumer_steps.py",
    "kernel/worker/pool/lost_processes.py",
    "kernel/worker/untrusted_messages.py",
    "kernel/config/brokers/celeryconfig.py",
}
# What is loaded late, because the rest of the file is of use without it:
# Alembic takes a tenth of a second to import, and one command in twenty needs it.
# OpenTelemetry and authlib (with joserfc 120 modules) take longer, and are imported by a setting.
# `from kernel import Handlers` must load neither Flask nor Celery; `kernel.app` needs them.
# `kernel --help` must not wait for SQLAlchemy; every command that runs may fail with its errors.
LATE_IMPORTS = {
    ("kernel/__init__.py", "kernel.config.logging.configure"),
    ("kernel/__init__.py", "kernel.runtime.kernel.Kernel"),
    ("kernel/__init__.py", "kernel.views.app.create_app"),
    ("kernel/cli/main.py", "kernel.db.errors.explained"),
    ("kernel/cli/main.py", "kernel.db.schema.version.SCHEMA"),
    ("kernel/cli/main.py", "sqlalchemy.exc.SQLAlchemyError"),
    ("kernel/cli/opening.py", "kernel.db.schema.handlers"),
    ("kernel/cli/opening.py", "kernel.db.schema.migrate"),
    ("kernel/runtime/startup.py", "kernel.db.schema.handlers.standing"),
    ("kernel/runtime/tracing.py", "kernel.runtime.otel.Collected"),
    ("kernel/views/dashboard/blueprint.py", "kernel.views.dashboard.signing_in.oidc.oidc_pages"),
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(tree: ast.AST) -> Iterator[str]:
    """The full names of all modules imported anywhere below ``tree``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def importers(packages: set[str]) -> set[str]:
    """The modules of ours that import one of these packages."""
    return {
        name_of(path)
        for path, tree in TREES.items()
        if packages & {name.split(".")[0] for name in imported(tree)}
    }


def tracked() -> list[Path]:
    """Every file that git knows or would."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_package_exports_what_the_design_says() -> None:
    assert set(kernel.__all__) == {
        *("Kernel", "Handlers", "InApp", "Run", "Partial", "Reject", "Retry", "TimeLimit"),
        *("StepRetry", "Wait", "create_app", "create_blueprint", "init_app", "without_kernel"),
    }


@pytest.mark.parametrize("name", kernel.__all__)
def test_export_is_there_and_documented(name: str) -> None:
    assert inspect.getdoc(getattr(kernel, name))


def documented_settings() -> set[str]:
    page = ROOT / "docs" / "configuration.md"
    return set(re.findall(r"^\| `(KERNEL_\w+)` \|", page.read_text(), re.MULTILINE))


def test_every_setting_is_documented_and_nothing_else() -> None:
    settings = {PREFIX + name.upper() for name in Settings.model_fields}
    documented = documented_settings() - FOREIGN
    assert settings - documented == set(), "settings without a row"
    assert documented - settings == set(), "rows without a setting"


def test_file_of_settings_is_documented() -> None:
    assert CONFIG_FILE in (ROOT / "docs" / "configuration.md").read_text()


def error_classes() -> list[type[errors.KernelError]]:
    found = vars(errors).values()
    return [one for one in found if isinstance(one, type) and issubclass(one, errors.KernelError)]


def test_every_error_stands_in_the_tree() -> None:
    tree = errors.__doc__ or ""
    drawn = re.findall(r"^ *[│ ]*[├└]── (\w+)", tree, re.MULTILINE)
    assert sorted(drawn) == sorted(one.__name__ for one in error_classes()[1:])


def test_every_error_that_has_a_code_has_its_own() -> None:
    codes = [vars(one)["code"] for one in error_classes() if "code" in vars(one)]
    assert len(codes) == len(set(codes))


def test_every_refusal_has_a_code_and_an_http_status() -> None:
    for one in errors.RequestRefused.__subclasses__():
        assert "code" in vars(one), one
        assert one in STATUS, one


def test_every_code_on_the_wire_has_a_text_in_both_languages() -> None:
    codes = {one.code for one in STATUS} | set(HTTP_CODES.values())
    codes |= {"bad_request", "internal_error", "worker_lost", "unknown_select_tag", "cancelled"}
    codes |= {"timed_out", "keeps_breaking", "transaction_ended", "too_many_retries"}
    codes |= {"waits_too_often"}
    assert codes <= set(TEXTS)
    assert all(set(texts) == {"en", "zh"} and all(texts.values()) for texts in TEXTS.values())


def test_every_text_is_used() -> None:
    code = "\n".join(path.read_text() for path in SOURCES if path.name != "texts.py")
    assert [one for one in TEXTS if f'"{one}"' not in code] == []


@pytest.mark.parametrize("folder", ["kernel", "tests", "bench", "migrations", "examples"])
def test_no_file_is_too_long(folder: str) -> None:
    lines = {p: len(p.read_text().splitlines()) for p in (ROOT / folder).rglob("*.py")}
    assert {name_of(path): n for path, n in lines.items() if n > MAX_FILE} == {}


def test_no_function_is_too_long() -> None:
    lengths = {
        f"{name_of(path)}:{one.name}": (one.end_lineno or 0) - one.lineno + 1
        for path, tree in TREES.items()
        for one in functions(tree)
    }
    assert {name: length for name, length in lengths.items() if length > MAX_FUNCTION} == {}


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = function.args
    names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def test_no_function_takes_too_many_parameters() -> None:
    counts = {
        f"{name_of(path)}:{one.name}": parameters(one)
        for path, tree in TREES.items()
        for one in functions(tree)
    }
    assert {name: count for name, count in counts.items() if count > MAX_PARAMETERS} == {}


def test_every_module_class_and_public_function_says_what_it_is() -> None:
    silent = [name_of(path) for path, tree in TREES.items() if not ast.get_docstring(tree)]
    for path, tree in TREES.items():
        for one in tree.body:
            named = isinstance(one, ast.FunctionDef | ast.ClassDef) and one.name[0] != "_"
            if named and not ast.get_docstring(one):
                silent.append(f"{name_of(path)}:{one.name}")
    assert silent == []


def test_transactions_are_committed_in_few_places() -> None:
    found = {name_of(path) for path in SOURCES if re.search(r"\.commit\(", path.read_text())}
    assert found == {f"kernel/{name}.py" for name in COMMITTING}


def states_written(tree: ast.AST) -> list[int]:
    """The lines on which an UPDATE of orders sets their state."""
    return [
        call.lineno
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "values"
        and (
            re.search(r"\bstate=OrderState|'state': OrderState", ast.unparse(call))
            or (
                re.search(r"update\((ORDERS|Order)\)", ast.unparse(call.func))
                and re.search(r"\bstate=|'state'|new_\{name\}", ast.unparse(call))
            )
        )
    ]


def test_states_of_orders_are_written_in_one_module_and_where_several_end() -> None:
    assert states_written(ast.parse("update(ORDERS).where(x).values(state=1)")) == [1]
    assert states_written(ast.parse("waits.values(state=OrderState.WAITING)")) == [1]
    found = {name_of(path) for path, tree in TREES.items() if states_written(tree)}
    assert found == {"kernel/orders/transitions.py", "kernel/orders/ends/together.py"}


def test_one_module_group_owns_outbound_connections() -> None:
    assert importers(OUTBOUND) <= MAY_DIAL | MAY_LISTEN | MAY_ASK | MAY_SET
    assert importers({"requests", "urllib3"}) <= MAY_DIAL


def test_celery_is_known_in_one_module() -> None:
    assert importers(QUEUEING) <= MAY_QUEUE


def test_modules_are_imported_at_the_top() -> None:
    late = {
        (name_of(path), name)
        for path, tree in TREES.items()
        for function in functions(tree)
        for name in imported(function)
    }
    assert late - LATE_IMPORTS == set()


def test_nothing_is_shared_through_module_globals() -> None:
    """No `db`, no `celery`: what varies lives in a Kernel, so two can stand side by side."""
    shared = re.compile(r"^\s*global \w", re.MULTILINE)
    assert [name_of(path) for path in SOURCES if shared.search(path.read_text())] == []


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "common", "misc"}
    assert [name_of(path) for path in SOURCES if path.stem in drawers] == []


MACHINE = re.compile(
    r"/work/|/root/|/home/(?!user\b)\w+/|/Users/\w+/|--index-url|--extra-index-url|--trusted-host"
    r"|(?:files\.pythonhosted|pypi|pypi\.python)\.org/simple"
)


def test_no_file_names_a_machine_or_a_registry() -> None:
    told = {
        f"{name_of(path)}: {found.group()}"
        for path in tracked()
        if path != Path(__file__)
        for found in MACHINE.finditer(path.read_bytes().decode("utf-8", "replace"))
    }
    assert told == set()


def test_tests_are_named_for_what_happens() -> None:
    """test_<subject>_<what happens>_<when>: four words at the least."""
    short = [
        f"{path.name}:{one.name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for one in functions(ast.parse(path.read_text()))
        if one.name.startswith("test_") and one.name.count("_") < 3
    ]
    assert short == []
