"""Model files for the embedded engine: found on the Hub, fetched and checked."""

import fcntl
import hashlib
import re
import shutil
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from django.conf import settings
from huggingface_hub import hf_hub_url
from huggingface_hub.file_download import http_get

from inference.catalog.hub import HUB_SECONDS, reached

# What is taken where several would do: small, and nearly as good as the whole.
PREFERRED: Final = "Q4_K_M"
READ_BYTES: Final = 4_194_304
# Of a model in several files, and what goes with one that sees.
_NO_MODEL: Final = re.compile(r"-\d{5}-of-\d{5}\.gguf\Z|mmproj", re.IGNORECASE)


class FileRefused(Exception):
    """There is no such file, or it cannot be had; the message says what to do."""


class HubFile(msgspec.Struct, frozen=True):
    """A file on the Hub at one commit."""

    repository: str
    name: str
    commit: str
    size_bytes: int
    sha256: str

    @property
    def path(self) -> Path:
        """Where it is kept here."""
        folder = Path(settings.DATA_DIR) / "models" / self.repository.replace("/", "--")
        return folder / self.name.replace("/", "--")


def find(repository: str, wanted: str = "") -> HubFile:
    """Return a repository's GGUF file; ``wanted`` is its name, or a part that no other has.

    Raises FileRefused, HubUnavailable.
    """
    with reached() as api:
        info = api.model_info(repository, files_metadata=True, timeout=HUB_SECONDS)
        files = {
            each.rfilename: (each.size, each.lfs.sha256)
            for each in info.siblings or ()
            if each.rfilename.endswith(".gguf") and each.size and each.lfs and not _NO_MODEL.search(each.rfilename)
        }
    name = _chosen(repository, list(files), wanted)
    size_bytes, sha256 = files[name]
    return HubFile(repository, name, info.sha or "main", size_bytes or 0, sha256)


def fetch(file: HubFile) -> Path:
    """Return where a file is, once all of it is here; what an earlier try brought is kept, and not asked for again.

    A terminal shows how far it is. Raises FileRefused, HubUnavailable.
    """
    path = file.path
    if path.exists() and path.stat().st_size == file.size_bytes:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of another commit, it would be the beginning of another file.
    partial = path.with_name(f"{path.name}.{file.sha256[:16]}.part")
    with partial.open("ab+") as written:
        try:
            fcntl.flock(written, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileRefused(f"{file.name} is being pulled already.") from None
        _fetch(file, written)
        if _sha256(written) != file.sha256:
            partial.unlink()
            raise FileRefused(f"{file.name} came with another content than the Hub says (its SHA-256): pull it again.")
        partial.replace(path)
    return path


def _fetch(file: HubFile, written: BinaryIO) -> None:
    """Add what is missing."""
    had = written.seek(0, 2)
    if had > file.size_bytes:
        had = written.truncate(0)
    free = shutil.disk_usage(file.path.parent).free
    if free < file.size_bytes - had:
        missing = file.size_bytes - had - free
        raise FileRefused(f"{file.name} does not fit the disk: {missing:,} bytes are missing under {file.path.parent}.")
    with reached():
        http_get(
            hf_hub_url(file.repository, file.name, revision=file.commit, endpoint=settings.HF_ENDPOINT),
            written,
            resume_size=had,
            headers={"Authorization": f"Bearer {settings.HF_TOKEN}"} if settings.HF_TOKEN else None,
            expected_size=file.size_bytes,
            displayed_filename=file.name,
        )


def _sha256(written: BinaryIO) -> str:
    written.flush()
    written.seek(0)
    digest = hashlib.sha256()
    while part := written.read(READ_BYTES):
        digest.update(part)
    return digest.hexdigest()


def _chosen(repository: str, names: list[str], wanted: str) -> str:
    """Return the name that is meant. Raises FileRefused."""
    if not names:
        raise FileRefused(f"{repository} has no model in one GGUF file: look for a repository that ends in -GGUF.")
    if wanted in names:
        return wanted
    fitting = [name for name in names if (wanted or PREFERRED).lower() in name.lower()]
    if not wanted and len(names) == 1:
        return names[0]
    if len(fitting) != 1:
        listed = ", ".join(sorted(fitting or names))
        raise FileRefused(f"Say which file, such as {repository}:{sorted(fitting or names)[0]}. There are {listed}.")
    return fitting[0]
