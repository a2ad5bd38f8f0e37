"""Daphne, with what it lacks: backpressure, early refusals, deadlines for requests, lifespan, and a calm end.

Daphne by itself takes whatever the application sends (a reader that read nothing was "sent" 150 MB), keeps a whole
upload before anyone can refuse it, gives a client a minute for each byte, and leaves a connection open for ever when
the application returns without having answered.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

# Installs Twisted's asyncio reactor, so it stands before every other Twisted import.
import daphne.server  # isort: skip
from asgiref.typing import ASGI3Application
from daphne.ws_protocol import WebSocketFactory
from django.conf import settings
from twisted.internet import reactor as _reactor
from twisted.internet.interfaces import IAddress
from twisted.logger import STDLibLogObserver, globalLogBeginner
from twisted.web import http

from config.serving.daphne_http import Channel
from config.serving.daphne_websocket import WebSocket
from config.serving.lifespan import Lifespan
from config.serving.shutdown import FLUSH_SECONDS, Ending, wait_while

logger = logging.getLogger(__name__)
# Twisted chooses its reactor at run time, so its type is not known to a type checker.
reactor: Any = _reactor


class HTTPFactory(http.HTTPFactory):
    """Makes a channel for each connection."""

    def __init__(self, server: "Server") -> None:
        super().__init__(timeout=settings.REQUEST_HEAD_SECONDS)
        self.server = server

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Return the channel itself, without Twisted's wrapper that chooses between HTTP/1 and HTTP/2."""
        channel = Channel()
        channel.factory = self
        return channel


class Server(Ending, daphne.server.Server):
    """Daphne's server on a socket that is bound already."""

    def __init__(
        self, application: ASGI3Application, listener: socket.socket, on_listening: Callable[[], None]
    ) -> None:
        super().__init__(
            application,
            endpoints=[listener],
            request_buffer_size=settings.MAX_BODY_BYTES + 1,
            websocket_timeout=-1,
            websocket_max_message_size=settings.MAX_BODY_BYTES,
            websocket_max_frame_size=settings.MAX_BODY_BYTES,
            server_name="",
        )
        self.connections: dict[Any, dict[str, Any]] = {}
        # Those that speak HTTP, idle or not, by their transports.
        self.channels: dict[Any, Channel] = {}
        self.failure: BaseException | None = None
        self._listener = listener
        self._on_listening = on_listening
        self._lifespan = Lifespan(application)
        self._ending: asyncio.Task[None] | None = None
        self._port: Any = None

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises RuntimeError when the application cannot start."""
        logging.getLogger("twisted").setLevel(logging.WARNING)
        observer: Any = STDLibLogObserver("twisted")
        globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False, discardBuffer=True)
        self.ws_factory = WebSocketFactory(self, server="")
        self.ws_factory.protocol = WebSocket
        self.ws_factory.setProtocolOptions(
            autoPingTimeout=self.ping_timeout,
            allowNullOrigin=True,
            openHandshakeTimeout=self.websocket_handshake_timeout,
            maxMessagePayloadSize=self.websocket_max_message_size,
            maxFramePayloadSize=self.websocket_max_frame_size,
            # Say why before hanging up.
            failByDrop=False,
        )
        loop = reactor._asyncioEventloop
        asyncio.set_event_loop(loop)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end_soon, number)
        reactor.callWhenRunning(lambda: loop.create_task(self._begin()).add_done_callback(self._begun))
        reactor.run(installSignalHandlers=False)
        if self.failure:
            raise self.failure

    async def _begin(self) -> None:
        await self._lifespan.startup()
        self._listener.setblocking(False)
        self._listener.listen(2048)
        self._listener.setblocking(False)
        self._port = reactor.adoptStreamPort(self._listener.fileno(), self._listener.family, HTTPFactory(self))
        self._listener.close()
        reactor.callLater(1, self.application_checker)
        reactor.callLater(2, self.timeout_checker)
        self._on_listening()

    def _begun(self, beginning: asyncio.Task[None]) -> None:
        self.failure = beginning.exception()
        if self.failure:
            reactor.stop()

    def _end_soon(self, number: signal.Signals) -> None:
        """Begin to end; SIGINT, when that has begun, takes the patience away, as with uvicorn."""
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._end())
        elif number == signal.SIGINT:
            self.is_hurried = True

    async def _end(self) -> None:
        """Take nothing new, see out what is under way, tell the application of the end, and stop the reactor."""
        try:
            if self._port is not None:
                self._port.stopListening()
            for channel in list(self.channels.values()):
                channel.leave()
            await self.see_out()
            await wait_while(lambda: self.channels, FLUSH_SECONDS)
            async with self.cleaning_up():
                await self._lifespan.shutdown()
            # The end of the interpreter may crash over a task that is left; asyncio's own runner leaves none either.
            if rest := asyncio.all_tasks() - {asyncio.current_task()}:
                await self.cancel(rest)
        finally:
            reactor.stop()

    def running(self) -> set[asyncio.Task[None]]:
        """Return the application's tasks."""
        tasks = (details.get("application_instance") for details in self.connections.values())
        return {task for task in tasks if task}

    def close_sockets(self) -> None:
        """Close with 1012."""
        for protocol in list(self.connections):
            if isinstance(protocol, WebSocket):
                protocol.leave()

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> asyncio.Queue[Any]:
        """Start the application for one request or socket, and return the queue that it reads from."""
        messages: asyncio.Queue[Any] = asyncio.Queue()
        scope["asgi"] = {"version": "3.0", "spec_version": "2.3"}
        scope["state"] = self._lifespan.state.copy()
        receive: Callable[[], Any] = messages.get
        if scope["type"] == "websocket":
            scope.setdefault("scheme", "ws")
            scope.setdefault("http_version", "1.1")
            receive = partial(self._take, protocol, messages)
        task = asyncio.get_running_loop().create_task(
            self.application(scope, receive, partial(self.handle_reply, protocol))
        )
        self.connections[protocol]["application_instance"] = task
        task.add_done_callback(partial(self._application_ended, protocol))
        return messages

    @staticmethod
    async def _take(protocol: Any, messages: asyncio.Queue[Any]) -> Any:
        message = await messages.get()
        protocol.message_taken()
        return message

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Write what the application sends, after what it sent before has gone out; a lost connection takes all."""
        if not protocol.writable.is_set():
            await protocol.writable.wait()
        await super().handle_reply(protocol, message)

    def _application_ended(self, protocol: Any, task: asyncio.Task[None]) -> None:
        """Report an application's failure at once, and see that its client is not left waiting."""
        error = None if task.cancelled() else task.exception()
        if error:
            logger.error("Exception inside the application", exc_info=error)
        details = self.connections.get(protocol, {})
        details.pop("application_instance", None)
        if "disconnected" not in details:
            protocol.application_ended(failed=task.cancelled() or error is not None)
