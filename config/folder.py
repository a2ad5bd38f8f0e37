"""Where everything that the site writes is kept."""

from pathlib import Path
from tempfile import TemporaryFile

from environs import EnvError


def data_dir(written: str) -> Path:
    """Return the folder, which is made where it is missing. Raises EnvError where nothing can be written."""
    folder = Path(written).resolve()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Root may write wherever its permissions are asked for, and yet not on what is mounted read-only.
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise EnvError(
            f'Environment variable "DATA_DIR" is a folder to write into, which {folder} cannot be: {error.strerror}'
        ) from None
    return folder
