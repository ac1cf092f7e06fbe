"""The Python of the pages, as a strict type checker reads it."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What a page has imported above, and does not say again in each of its blocks.
BEFORE = """
import asyncio
from datetime import datetime, timedelta
from typing import Any
from pydantic import BaseModel, Field
from sqlalchemy import insert
from kernel import Handlers, Partial, Reject, Retry, Run, StepRetry, Wait
"""
OWN = "from kernel import Handlers\nhandlers = Handlers()\n"
FUNCTION = "def example(run: Run, args: Any) -> dict[str, Any]:\n    return {}\n"
# Of what a page leaves to its reader: names, modules, packages without types. A reader's tests need
# no annotations.
STRICT = ("--strict", "--disable-error-code=name-defined", "--disable-error-code=import-not-found")
STRICT += (
    "--follow-imports=silent",
    "--disable-error-code=no-redef",
    "--disable-error-code=import-untyped",
    "--config-file=",
    "--no-error-summary",
)
TESTS = """# mypy: allow-untyped-defs, allow-untyped-calls
# mypy: disable-error-code="attr-defined, index, misc"
"""


def test_python_of_the_pages_passes_the_type_checker(tmp_path: Path) -> None:
    """Each block on its own; those of two modules of one page see each other."""
    count = 0
    for page in PAGES:
        name = re.sub(r"\W", "x", page.relative_to(ROOT).with_suffix("").as_posix())
        for number, code in enumerate(BLOCK.findall(page.read_text())):
            if not re.search(r"kernel|handlers|run: Run", code):
                continue
            begin = "# mypy: allow-subclassing-any\n" + (TESTS if "def test_" in code else "")
            begin += ("" if "from kernel" in code else BEFORE) + (
                "" if re.search(r"^(from .*import )?handlers\b", code, re.M) else OWN
            )
            ends = code if "def " in code or not code.startswith("@") else code + FUNCTION
            folder = tmp_path / f"{name}_{number}"
            folder.mkdir()
            (folder / "__init__.py").write_text(begin + ends)
            for found in re.findall(r"^from \. import (.*)$", code, re.MULTILINE):
                for module in found.split(", "):
                    (folder / f"{module}.py").write_text(OWN)
            count += 1
    assert count > 20
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *STRICT, f"--cache-dir={tmp_path}/.cache", "."],
        cwd=tmp_path,
        env={"MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
