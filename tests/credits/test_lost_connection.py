"""The answer to COMMIT can be lost on the way: the ledger must neither repeat nor forget what was committed."""

import asyncio
import json
from collections.abc import Iterator

import psycopg
import pytest

from tests.credits.scenes import child
from tests.postgresql import PostgreSQL

GRANTS = 60


class CuttingProxy:
    """A wire to PostgreSQL that breaks at every third COMMIT: in turn before it arrives, and before its answer does."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._commits = 0
        self.cuts_before = 0
        self.cuts_after = 0

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either side, or the proxy, ends it."""
        server_reader, server_writer = await asyncio.open_connection(*self._upstream)
        back = asyncio.create_task(self._carry_back(server_reader, writer))
        try:
            while sent := await reader.read(65_536):
                cut = self._cut(sent)
                if cut == "before":
                    break
                if cut == "after":
                    back.cancel()
                    await asyncio.wait([back])
                server_writer.write(sent)
                if cut == "after":
                    await server_reader.read(1)
                    break
        finally:
            back.cancel()
            writer.close()
            server_writer.close()

    async def _carry_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while answer := await reader.read(65_536):
            writer.write(answer)
        writer.close()

    def _cut(self, sent: bytes) -> str:
        self._commits += b"COMMIT" in sent
        if b"COMMIT" not in sent or self._commits % 3:
            return ""
        if self._commits % 2:
            self.cuts_before += 1
            return "before"
        self.cuts_after += 1
        return "after"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    server = PostgreSQL()
    yield server
    server.stop()


def test_a_lost_answer_to_commit_neither_doubles_nor_forgets_a_grant(server: PostgreSQL) -> None:
    child("migrate", database_url=server.url).communicate("go\n", timeout=60)
    address = psycopg.conninfo.conninfo_to_dict(server.url)

    async def scene() -> tuple[CuttingProxy, list[int]]:
        proxy = CuttingProxy(str(address["host"]), int(str(address["port"])))
        wire = await asyncio.start_server(proxy.connect, "127.0.0.1", 0)
        url = f"postgres://parley@127.0.0.1:{wire.sockets[0].getsockname()[1]}/postgres"
        async with wire:
            process = await asyncio.to_thread(child, "grant", 1, GRANTS, database_url=url)
            answer, _ = await asyncio.to_thread(process.communicate, "go\n", 60)
        return proxy, json.loads(answer)

    proxy, balances = asyncio.run(scene())
    assert proxy.cuts_before > 5
    assert proxy.cuts_after > 5
    assert balances == list(range(1, GRANTS + 1))
    with psycopg.connect(server.url) as connection:
        row = connection.execute("SELECT balance_nano, entry_count FROM credits_account").fetchone()
        assert row == (GRANTS, GRANTS)
