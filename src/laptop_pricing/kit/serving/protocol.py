"""What a connection may take: bytes of a head, seconds, and one of the process's files.

Uvicorn limits how long a connection may be idle and how long the end of the process may take; the
limits of a request are here.
"""

import asyncio
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any, Optional

from uvicorn import Server
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

HEAD_BYTES = 64_000
RECEIVE_S = 10  # for a request to arrive, and for a client to go on reading its answer
LAST_S = 1.0  # for which requests are still taken once the end has begun
WAITING = 2048  # connections that may wait to be accepted
HEALTH = (b"/healthz", b"/readyz")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"  # which comes before a head


class State(ServerState):
    """What the connections of a server share."""

    closing = False  # each answer is the last one of its connection


class LimitedServer(Server):
    """Uvicorn's server, which in the end answers whoever has asked before it hangs up."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.server_state: State = State()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        for listening in sockets or ():  # asyncio takes as many at once as may wait: more files
            listening.listen(WAITING)

    async def shutdown(self, sockets: Any = None) -> None:
        self.server_state.closing = True
        await asyncio.sleep(LAST_S)
        last = []
        for listening in sockets or ():  # whoever waits to be let in is the last one
            with suppress(OSError):
                while True:
                    last.append(listening.accept()[0])
        for open_one in (*self.servers, *(sockets or ())):
            open_one.close()
        make = partial(LimitedProtocol, self.config, self.server_state, self.lifespan.state)
        for connection in last:
            await asyncio.get_running_loop().connect_accepted_socket(make, connection)
        await asyncio.sleep(LAST_S / 4)
        await super().shutdown(sockets)


class Joined:
    """A transport on which the head of an answer waits for its body: one system call, not two."""

    def __init__(self, transport: Any) -> None:
        self.transport, self.head = transport, b""
        self.close, self.is_closing = transport.close, transport.is_closing
        self._begun = False

    def write(self, data: bytes) -> None:
        if self._begun or data == CONTINUE:
            self.transport.write(self.head + data)
            self.head = b""
        else:
            self._begun, self.head = True, data


class LimitedProtocol(HttpToolsProtocol):
    """Uvicorn's protocol on httptools, which refuses what takes too much and then hangs up.

    From ``limit_concurrency`` connections on Uvicorn answers 503. So that slow clients cannot keep
    others out, each further connection ends the one that has waited longest for its request.
    """

    server_state: State
    _receiving = _in_head = True  # a request; its head
    _head = _unsent = 0  # bytes of a head without its end; of an answer that waits to be read
    _arrived = 0  # bytes among which the whole head is
    _since = 0.0  # when the connection began to wait for a request
    _timer: Optional[asyncio.TimerHandle] = None
    _reader: Optional[asyncio.TimerHandle] = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._since, self._most = self.loop.time(), self.limit_concurrency
        self._timer = self.loop.call_later(RECEIVE_S, self._refuse, HTTPStatus.REQUEST_TIMEOUT)
        if self._most and len(self.connections) >= self._most:
            others: Any = self.connections - {self}
            if waiting := [other for other in others if other.is_waiting]:
                longest = min(waiting, key=lambda other: other._since)
                longest._refuse(HTTPStatus.SERVICE_UNAVAILABLE)

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    @property
    def is_waiting(self) -> bool:
        """Whether it has no request that is being answered."""
        answered = self.cycle is None or self.cycle.response_complete
        return (answered or self._receiving) and not self.transport.is_closing()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._arrived = self._head + len(data)
        super().data_received(data)
        if not self._receiving:
            self._stop_timer()
        elif self._timer is None:
            self._timer = self.loop.call_later(RECEIVE_S, self._refuse, HTTPStatus.REQUEST_TIMEOUT)
        if self._receiving and self._in_head:
            self._head += len(data)
            if self._head > HEAD_BYTES:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        self._receiving = self._in_head = True
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._arrived > HEAD_BYTES and self._head_size() > HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return
        # Whoever asks for the health is told, however many others there are.
        asks = self.url.partition(b"?")[0] in HEALTH
        self.limit_concurrency = None if asks else self._most
        super().on_headers_complete()
        self.cycle.transport = Joined(self.transport)  # type: ignore[assignment]
        if self.server_state.closing:
            self.cycle.keep_alive = False

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def on_message_complete(self) -> None:
        self._receiving = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._since = self.loop.time()
        if self.transport.get_write_buffer_size():
            self._check_reader()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._check_reader()

    def _check_reader(self) -> None:
        """See to it that the client reads the answer."""
        if self._reader is None:
            self._unsent = self.transport.get_write_buffer_size()
            self._reader = self.loop.call_later(RECEIVE_S, self._hang_up_if_unread)

    def _hang_up_if_unread(self) -> None:
        self._reader, unsent = None, self.transport.get_write_buffer_size()
        if unsent and unsent == self._unsent:
            self.transport.abort()
        elif unsent:
            self._check_reader()

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer, unless an answer has begun, and hang up."""
        answering = self.cycle is not None and not self.cycle.response_complete
        if not self.transport.is_closing() and not (answering and self.cycle.response_started):
            body = b'{"detail":"%s"}' % status.phrase.encode()
            head = b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)
            head += b"connection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()
        self.loop.call_later(RECEIVE_S, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
