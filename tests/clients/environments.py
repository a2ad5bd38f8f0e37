"""The environments that real clients live in: one for each set that gets along, pinned, made where it is missing.

They are kept in ``.venv-clients`` beside the site's own, and nothing of them is needed to serve.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
HOME: Final = Path(os.environ.get("CLIENTS_DIR") or ROOT / ".venv-clients")
PINNED: Final = Path(__file__).parent / "environments"
PROGRAMS: Final = Path(__file__).parent / "programs"
# Clients that hang are ended after this.
PROGRAM_SECONDS: Final = 500
# What programs print their report behind.
_REPORT: Final = "REPORT "
# Where the machine's own packages come from; and nothing that would lead a client elsewhere than to the test's site.
_PASSED_ON: Final = ("PATH", "LANG", "TMPDIR", "GOPROXY", "GOFLAGS", "GOTOOLCHAIN", "GOMODCACHE", "GOSUMDB")


def python(name: str) -> Path:
    """Return the interpreter of an environment, which is made if it is not there as it is pinned."""
    pins = PINNED / f"{name}.txt"
    home = _home(name, pins)
    if not (home / "ready").exists():
        _make(home, pins)
    return home / "bin" / "python"


def node() -> Path:
    """Return the folder that has the packages of ``environments/node``."""
    pins = PINNED / "node"
    home = _home("node", pins / "package.json")
    if not (home / "ready").exists():
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(pins, home)
        # A lock file is of no use here: npm leaves other machines' optional packages out of it, and then misses them.
        install = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(install, cwd=home, check=True)
        (home / "ready").touch()
    return home


def go() -> Path:
    """Return the program in ``environments/go``, built."""
    pins = PINNED / "go"
    home = _home("go", pins / "go.sum", pins / "main.go")
    if not (home / "client").exists():
        home.mkdir(parents=True, exist_ok=True)
        subprocess.run(["go", "build", "-o", str(home / "client"), "."], cwd=pins, check=True)
    return home / "client"


def report(environment: str, name: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Run a program with no more than what it is given, and return its report."""
    if environment == "node":
        home = node()
        # Where packages are looked for.
        (home / name).write_text((PROGRAMS / name).read_text())
        command = ["node", str(home / name)]
    elif environment == "go":
        command = [str(go())]
    else:
        command = [str(python(environment)), str(PROGRAMS / name)]
    return run(command, given)


def run(command: list[str], given: Mapping[str, str], folder: Path | None = None) -> dict[str, Any]:
    """Run a command that prints a report. What else it prints is shown where it fails."""
    output = output_of(command, given, folder)
    line = next((line for line in reversed(output.splitlines()) if line.startswith(_REPORT)), None)
    assert line, output[-5_000:]
    reported: dict[str, Any] = json.loads(line.removeprefix(_REPORT))
    return reported


def output_of(command: list[str], given: Mapping[str, str], folder: Path | None = None, said: str = "") -> str:
    """Run a command to its end, with what is said to it, and return what it printed; it must end well."""
    home = folder or HOME
    known = {name: value for name, value in os.environ.items() if name in _PASSED_ON}
    ended = subprocess.run(
        command,
        env={**known, "HOME": str(home), "NO_PROXY": "*", "DO_NOT_TRACK": "1", **given},
        cwd=home,
        input=said,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-5_000:]
    return ended.stdout


def _home(name: str, *pins: Path) -> Path:
    """Return the folder of an environment; another one for other pins."""
    pinned = b"".join([path.read_bytes() for path in pins])
    return HOME / f"{name}-{hashlib.sha256(pinned).hexdigest()[:12]}"


def _make(home: Path, pins: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(home)], check=True)
    install = [*uv, "pip", "install", "--quiet", "--no-deps", "--requirement", str(pins)]
    subprocess.run([*install, "--python", str(home / "bin" / "python")], check=True)
    (home / "ready").touch()


def main() -> None:
    """Make all environments."""
    for pins in sorted(PINNED.glob("*.txt")):
        python(pins.stem)
    node()
    go()


if __name__ == "__main__":
    main()
