"""The HTTP client against servers that do as they please; every byte comes over a real socket."""

import asyncio

import pytest

from inference.errors import EngineError, EngineFailed, EngineTimeout, EngineUnavailable
from inference.transport.call import MAX_HEAD_BYTES, MAX_HEADERS, Call
from inference.transport.client import Request
from inference.transport.connection import IDLE_SECONDS, Origin, Pool
from tests.fakes.raw import Ending, RawServer, Reply
from tests.inference.clients import http
from tests.patience import PATIENCE_SECONDS, eventually

HEAD = b"HTTP/1.1 200 OK\r\n"
WHOLE = HEAD + b"content-length: 5\r\n\r\nhello"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;note=1\r\nllo\r\n0\r\ntrailer: 1\r\n\r\n"


class Told:
    """What a call tells; ``end`` is done when the response is, or raises how it failed."""

    def __init__(self) -> None:
        self.status = 0
        self.received = bytearray()
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def response_began(self, status: int) -> None:
        self.status = status

    def body_received(self, data: bytes) -> None:
        self.received += data

    def response_ended(self) -> None:
        self.end.set_result(None)

    def response_failed(self, error: EngineError) -> None:
        self.end.set_exception(error)


async def fetch(url: str, body: bytes | None = b"{}", seconds: float = PATIENCE_SECONDS) -> tuple[int, bytes]:
    return await http().fetch(
        Request("POST", url, {"Content-Type": "application/json"}, body), seconds=seconds, limit=1 << 20
    )


@pytest.mark.parametrize(
    "said",
    [
        WHOLE,
        CHUNKED,
        b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE,
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\ncontent-length: 3\r\n\r\n" + CHUNKED,
    ],
)
async def test_a_response_split_at_any_byte_is_the_same(said: bytes) -> None:
    splits = [Reply([said[:place], said[place:]]) for place in range(1, len(said))]
    async with RawServer([Reply([said]), *splits, Reply([bytes([byte]) for byte in said])]) as server:
        for _ in range(len(splits) + 2):
            assert await fetch(server.url) == (200, b"hello")
        assert server.connections == 1


@pytest.mark.parametrize(
    "said",
    [
        HEAD + b"\r\nhello",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        HEAD + b"connection: close\r\ncontent-length: 5\r\n\r\nhello",
    ],
)
async def test_a_body_may_end_with_its_connection(said: bytes) -> None:
    async with RawServer([Reply([said], then="close")]) as server:
        for _ in range(2):
            assert await fetch(server.url) == (200, b"hello")
        assert server.connections == 2


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        HEAD + b"connection: close\r\ncontent-length: 5\r\n\r\nhello",
        WHOLE + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        WHOLE + b"junk",
        CHUNKED + WHOLE,
    ],
)
async def test_a_connection_that_must_not_be_used_again_is_not(said: bytes) -> None:
    async with RawServer([Reply([said])]) as server:
        for _ in range(2):
            assert await fetch(server.url) == (200, b"hello")
        assert server.connections == 2
        await eventually(lambda: server.left == 2)


async def test_what_comes_between_two_requests_is_nobodys_answer() -> None:
    async with RawServer(
        [Reply([WHOLE, b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"]), Reply([WHOLE])]
    ) as server:
        assert await fetch(server.url) == (200, b"hello")
        await eventually(lambda: server.left)
        assert await fetch(server.url) == (200, b"hello")


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200",
        HEAD + b"content-length: 5\r\n\r\nhell",
        HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nhel",
        HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n-1\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        HEAD + b"transfer-encoding: gzip\r\n\r\nhello",
        HEAD + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        HEAD + b"content-length: -5\r\n\r\nhello",
        HEAD + b"no colon\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 000 Nothing\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
async def test_a_response_that_is_broken_or_cut_fails_without_another_try(said: bytes) -> None:
    async with RawServer([Reply([WHOLE]), Reply([said], then="close")]) as server:
        await fetch(server.url)
        for _ in range(2):
            with pytest.raises(EngineFailed):
                await fetch(server.url)
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    "said",
    [
        [HEAD + b"a: " + b"b" * MAX_HEAD_BYTES + b"\r\n\r\n"],
        [HEAD + b"a: b\r\n" * (MAX_HEADERS + 1) + b"\r\n"],
        [HEAD, *[b"a" * 8_192] * 10],
        [b"HTTP/1.1 100 Continue\r\n\r\n" * 3_000],
        [HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n", *[b"a" * 8_192] * 10],
        [HEAD + b"transfer-encoding: chunked\r\n\r\n1;", *[b"a" * 8_192] * 10],
    ],
)
async def test_what_is_not_body_is_bounded(said: list[bytes]) -> None:
    async with RawServer([Reply(said)]) as server:
        with pytest.raises(EngineFailed):
            await fetch(server.url)
        await eventually(lambda: server.left)


async def test_a_reset_in_the_middle_fails_after_what_came_before_it() -> None:
    async with RawServer([Reply([HEAD + b"\r\nhel"], then="reset")]) as server:
        told = Told()
        http().call(Request("POST", server.url, {}, b"{}"), told)
        with pytest.raises(EngineFailed):
            await told.end
        assert told.received == b"hel"


@pytest.mark.parametrize("then", ["close", "reset"])
async def test_a_new_connection_that_closes_without_a_byte_is_not_tried_again(then: Ending) -> None:
    async with RawServer([Reply(then=then)]) as server:
        with pytest.raises(EngineUnavailable):
            await fetch(server.url)
        assert server.connections == 1


@pytest.mark.parametrize("then", ["close", "reset"])
async def test_a_kept_connection_that_closes_without_a_byte_is_replaced_once(then: Ending) -> None:
    gone = Reply(then=then)
    async with RawServer([Reply([WHOLE]), gone, Reply([WHOLE]), gone, gone]) as server:
        for _ in range(2):
            assert await fetch(server.url) == (200, b"hello")
        assert (server.connections, len(server.requests)) == (2, 3)
        with pytest.raises(EngineUnavailable):
            await fetch(server.url)
        assert (server.connections, len(server.requests)) == (3, 5)


async def test_many_requests_run_at_once_and_keep_their_connections() -> None:
    async with RawServer([Reply([CHUNKED])]) as server:
        for _ in range(2):
            server.requests.clear()
            server.open.clear()
            fetching = asyncio.gather(*(fetch(server.url) for _ in range(200)))
            await eventually(lambda: len(server.requests) == 200)
            server.open.set()
            assert await fetching == [(200, b"hello")] * 200
        assert server.connections == 200


async def test_an_idle_connection_is_closed_in_time() -> None:
    assert IDLE_SECONDS < 5
    async with RawServer([Reply([WHOLE])]) as server:
        pool = Pool(asyncio.get_running_loop(), idle_seconds=0.1)
        origin = Origin("127.0.0.1", server.port, is_tls=False)
        told = Told()
        Call(pool, origin, b"GET / HTTP/1.1\r\n\r\n", b"", told)
        await told.end
        assert told.received == b"hello"
        await eventually(lambda: server.left)
        assert pool.take(origin) is None
        await pool.close()


@pytest.mark.parametrize("writes", [[], [HEAD], [WHOLE[:-1]]])
async def test_cancelling_closes_the_connection_within_a_second(writes: list[bytes]) -> None:
    async with RawServer([Reply(writes)]) as server:
        task = asyncio.create_task(fetch(server.url))
        await eventually(lambda: server.requests)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: server.left, 1)


@pytest.mark.parametrize("writes", [[], [HEAD], [WHOLE[:-1]]])
async def test_a_response_that_does_not_come_whole_in_time_is_a_timeout(writes: list[bytes]) -> None:
    async with RawServer([Reply(writes)]) as server:
        with pytest.raises(EngineTimeout):
            await fetch(server.url, seconds=0.1)
        await eventually(lambda: server.left == server.connections)
        assert len(server.requests) <= 1


async def test_who_leaves_a_call_hears_nothing_more_of_it() -> None:
    async with RawServer([Reply([WHOLE[:-1]])]) as server:
        told = Told()
        call = http().call(Request("POST", server.url, {}, b"{}"), told)
        await eventually(lambda: told.received == b"hell")
        call.leave()
        await eventually(lambda: server.left, 1)
        assert not told.end.done()
        call.leave()


async def test_who_pauses_a_call_stops_its_server_until_it_is_resumed() -> None:
    body = b"x" * 50_000_000
    async with RawServer([Reply([HEAD + b"content-length: %d\r\n\r\n" % len(body) + body])]) as server:
        told = Told()
        call = http().call(Request("POST", server.url, {}, b"{}"), told)
        await eventually(lambda: told.received)
        call.pause()
        # What was on its way comes in; then nothing.
        await asyncio.sleep(0.2)
        before = len(told.received)
        await asyncio.sleep(0.1)
        assert len(told.received) == before < len(body)
        call.resume()
        await told.end
        assert told.received == body


async def test_an_answer_that_comes_before_the_whole_request_was_sent_is_taken() -> None:
    early = Reply([b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n"], before_body=True)
    async with RawServer([early]) as server:
        assert await fetch(server.url, body=b"x" * 50_000_000) == (413, b"")
        assert await fetch(server.url, body=b"x" * 50_000_000) == (413, b"")
        assert server.connections == 2


async def test_a_large_request_arrives_whole() -> None:
    body = bytes(range(256)) * 40_000
    async with RawServer([Reply([WHOLE])]) as server:
        assert await fetch(server.url, body=body) == (200, b"hello")
        assert server.requests[0].endswith(b"\r\n\r\n" + body)


async def test_a_redirect_is_an_answer_like_any_other() -> None:
    async with RawServer([Reply([b"HTTP/1.1 307 Go\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n"])]) as server:
        assert await fetch(server.url) == (307, b"")
        assert len(server.requests) == 1


async def test_a_request_says_what_was_asked() -> None:
    async with RawServer([Reply([WHOLE])]) as server:
        await http().fetch(
            Request("GET", f"{server.url}a b/é?c=%20d#e", {"X-Key": "1"}), seconds=PATIENCE_SECONDS, limit=10
        )
        await http().fetch(Request("POST", server.url, {}, b""), seconds=PATIENCE_SECONDS, limit=10)
    asked, posted = server.requests
    own = f"Host: 127.0.0.1:{server.port}\r\nUser-Agent: Parley\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
    assert asked.decode() == f"GET /a%20b/%C3%A9?c=%20d HTTP/1.1\r\n{own}X-Key: 1\r\n\r\n"
    assert posted.decode() == f"POST / HTTP/1.1\r\n{own}Content-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [("X", "a\r\nContent-Length: 0"), ("X", "a\n"), ("X", "a\x00"), ("X", "€"), ("X: a\r\nY", "b"), ("", "a")],
)
async def test_a_header_that_would_leave_its_line_is_never_sent(name: str, value: str) -> None:
    async with RawServer([Reply([WHOLE])]) as server:
        with pytest.raises(EngineUnavailable):
            await http().fetch(Request("POST", server.url, {name: value}, b""), seconds=PATIENCE_SECONDS, limit=10)
        assert server.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "ftp://localhost",
        "http://",
        "http://a:b@localhost",
        "http://a..b",
        "http://x:99999",
        "http://a b",
    ],
)
async def test_an_address_that_cannot_be_one_is_unavailable(url: str) -> None:
    with pytest.raises(EngineUnavailable):
        await fetch(url)


async def test_closing_ends_what_is_under_way() -> None:
    async with RawServer([Reply([HEAD + b"\r\nhel"])]) as server:
        told = Told()
        http().call(Request("POST", server.url, {}, b"{}"), told)
        await eventually(lambda: told.received)
        await http().close()
        with pytest.raises(EngineError):
            await told.end
        with pytest.raises(EngineTimeout):
            await fetch(server.url, seconds=0.1)
        assert server.connections == 2
