"""The site's own secret, generated once into DATA_DIR."""

import os
import secrets
from pathlib import Path


def secret_key(folder: Path) -> str:
    """Return the SECRET_KEY kept in ``folder``, creating it (mode 0600) at the first start.

    Two processes that start at once agree: the file is linked into place whole, and the first link wins.
    """
    path = folder / "secret_key"
    if not path.exists():
        draft = folder / f".secret_key.{os.getpid()}.{secrets.token_hex(4)}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(50))
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
