"""Debian's Chromium, which talks to nobody but the site, and a watch over what happens in it."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Playwright, ViewportSize

EXECUTABLE = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# How long anything that a test waits for may take, in milliseconds; two busy cores are slow.
PATIENCE = 30_000
WIDE: ViewportSize = {"width": 1280, "height": 800}


def launch(playwright: Playwright) -> Browser:
    """Start the browser; a machine without it fails the tests and says what to install."""
    assert EXECUTABLE.exists(), "These tests need the Debian package chromium: apt-get install chromium"
    return playwright.chromium.launch(executable_path=EXECUTABLE, args=ARGUMENTS)


class Watch:
    """Notes what pages must never do: log an error, open a dialog, ask another site for anything."""

    def __init__(self, context: BrowserContext, site: str) -> None:
        self.errors: list[str] = []
        self.dialogs: list[str] = []
        # Every address that was asked for, and those that are not the site's.
        self.requests: list[str] = []
        self.foreign: list[str] = []
        self._site = urlsplit(site).netloc
        context.on("console", self._logged)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        context.on("dialog", self._asked)
        context.on("request", lambda request: self._requested(request.url))
        context.on("page", lambda page: page.on("websocket", lambda socket: self._requested(socket.url)))

    def forgive(self, pattern: str) -> None:
        """Leave out errors that a test expects; Chromium logs every refused request."""
        self.errors = [error for error in self.errors if not re.search(pattern, error)]

    def report(self) -> list[str]:
        """Return what went wrong so far, a Content-Security-Policy that was hit included."""
        return [*self.errors, *self.dialogs, *(f"asked for {address}" for address in self.foreign)]

    def _logged(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def _asked(self, dialog: Dialog) -> None:
        self.dialogs.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _requested(self, address: str) -> None:
        self.requests.append(address)
        if urlsplit(address).netloc != self._site:
            self.foreign.append(address)
