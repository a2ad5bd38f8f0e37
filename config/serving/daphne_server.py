"""Daphne, with what it lacks: backpressure, early refusals, deadlines, lifespan, and an orderly end.

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

from config.serving import sockets
from config.serving.connections import Connections
from config.serving.daphne_http import Channel
from config.serving.daphne_websocket import ClientGone, WebSocket
from config.serving.lifespan import Lifespan
from config.serving.shutdown import Draining, cancel

logger = logging.getLogger(__name__)
# Twisted chooses its reactor at run time, so its type is not known to a type checker.
reactor: Any = _reactor


class HTTPFactory(http.HTTPFactory):
    """Makes a channel for each connection."""

    def __init__(self, server: "Server") -> None:
        super().__init__()
        self.server = server

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Return the channel itself, without Twisted's wrapper that chooses between HTTP/1 and HTTP/2."""
        channel = Channel()
        channel.factory = self
        return channel


class Server(Draining, daphne.server.Server):
    """Daphne's server on a socket that is bound already."""

    def __init__(
        self, application: ASGI3Application, listener: socket.socket, on_listening: Callable[[], None]
    ) -> None:
        super().__init__(
            application,
            endpoints=[listener],
            websocket_timeout=-1,
            websocket_max_message_size=settings.MAX_BODY_BYTES,
            websocket_max_frame_size=settings.MAX_BODY_BYTES,
            server_name="",
        )
        self.connections: dict[Any, dict[str, Any]] = {}
        self.clients = Connections(sockets.most_connections(), settings.CONNECTIONS_PER_ADDRESS)
        self.failure: BaseException | None = None
        self._listener = listener
        self._on_listening = on_listening
        self._lifespan = Lifespan(application)
        self._shutdown: asyncio.Task[None] | None = None
        self._port: Any = None

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises RuntimeError when the application cannot start."""
        # Its warnings are about what any client can send.
        logging.getLogger("twisted").setLevel(logging.ERROR)
        observer: Any = STDLibLogObserver("twisted")
        globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False, discardBuffer=True)
        self.ws_factory = WebSocketFactory(self, server="")
        self.ws_factory.protocol = WebSocket
        self.ws_factory.setProtocolOptions(
            autoPingInterval=self.ping_interval,
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
            loop.add_signal_handler(number, self._shut_down_soon, number)
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
        self._on_listening()

    def _begun(self, beginning: asyncio.Task[None]) -> None:
        self.failure = beginning.exception()
        if self.failure:
            reactor.stop()

    def _shut_down_soon(self, number: signal.Signals) -> None:
        """Begin to shut down; SIGINT, when that has begun, takes the patience away, as with uvicorn."""
        if self._shutdown is None:
            self._shutdown = asyncio.get_running_loop().create_task(self._shut_down())
        elif number == signal.SIGINT:
            self.is_hurried = True

    async def _shut_down(self) -> None:
        """Take nothing new, drain what is under way, tell the application of the end, and stop the reactor."""
        try:
            if self._port is not None:
                self._port.stopListening()
            await self.drain()
            async with self.cleaning_up():
                await self._lifespan.shutdown()
            # The end of the interpreter may crash over a task that is left; asyncio's own runner leaves none either.
            if rest := asyncio.all_tasks() - {asyncio.current_task()}:
                await cancel(rest)
        finally:
            reactor.stop()

    def running(self) -> set[asyncio.Task[None]]:
        """Return the application's tasks."""
        tasks = (details.get("application_instance") for details in self.connections.values())
        return {task for task in tasks if task}

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """Start the application for one request or socket, and return what it reads from."""
        scope["asgi"] = {"version": "3.0", "spec_version": "2.3"}
        scope["state"] = self._lifespan.state.copy()
        messages: Any = protocol.body if scope["type"] == "http" else asyncio.Queue()
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

    def protocol_disconnected(self, protocol: Any) -> None:
        """Note that an exchange is over; Daphne's own breaks down when it hears of that twice."""
        if details := self.connections.get(protocol):
            details["disconnected"] = True
            self._forget(protocol)

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
        if error and not isinstance(error, ClientGone):
            logger.error("Exception inside the application", exc_info=error)
        self.connections[protocol]["application_instance"] = None
        if not self._forget(protocol):
            protocol.application_ended(failed=task.cancelled() or error is not None)

    def _forget(self, protocol: Any) -> bool:
        """Forget an exchange once both its client and its application are gone; return whether its client is."""
        details = self.connections[protocol]
        if "disconnected" in details and not details.get("application_instance"):
            del self.connections[protocol]
        return "disconnected" in details
