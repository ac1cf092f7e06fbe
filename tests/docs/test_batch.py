"""docs/howto/batch.md, followed to the letter: its two files, and its test."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "howto" / "batch.md").read_text()
FILE = re.compile(r"Save this as `([\w.]+)`.*?^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_page_is_called_back_once_when_followed(tmp_path: Path) -> None:
    files = dict(FILE.findall(PAGE))
    assert list(files) == ["mailboxes.py", "test_mailboxes.py"]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (command,) = re.findall(r"^```sh\n(pytest .*)\n```$", PAGE, re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-m", *command.split(), "-p", "no:cacheprovider", "-q"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
