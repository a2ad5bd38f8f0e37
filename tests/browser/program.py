"""A program that a person pasted from the playground, run as a person runs it."""

import os
import subprocess
import sys
from pathlib import Path


def run(code: str, key: str, folder: Path) -> str:
    """Run Python code with the key in its environment and return what it printed."""
    program = folder / "pasted.py"
    program.write_text(code)
    environment = os.environ | {"PARLEY_API_KEY": key}
    done = subprocess.run(
        [sys.executable, str(program)], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
