"""The tests' fake of TGI as a process that is told by lines of JSON how to answer, and tells by others what came.

    python -m bench.engine [--port 0]

Prints its address. A line with an object changes the script (``tests.fakes.script``); any other asks for the requests.
"""

import argparse
import asyncio
import json
import sys
import time
from typing import Any

import uvloop

from tests.fakes.script import Script
from tests.fakes.server import Connection, Request
from tests.fakes.tgi import FakeTgi


class Engine(FakeTgi):
    """A fake that notes when each request came."""

    def __init__(self) -> None:
        super().__init__(script=Script(), max_total_tokens=1_000_000)
        self._arrived_at: dict[Request, float] = {}

    async def answer(self, request: Request, connection: Connection) -> None:
        """Answer as TGI does."""
        self._arrived_at[request] = time.monotonic()
        await super().answer(request, connection)

    def obey(self, line: str) -> Any:
        """Change the script, or return what came; times are of ``time.monotonic``, the same in every process."""
        wanted = json.loads(line)
        if not isinstance(wanted, dict):
            return [self._told(request) for request in self.requests if request.path == "/v1/chat/completions"]
        for name, value in wanted.items():
            if not hasattr(self.script, name):
                raise AttributeError(name)
            setattr(self.script, name, value)
        return None

    def _told(self, request: Request) -> dict[str, Any]:
        opening = request.json["messages"][0]["content"]
        times = {"arrived_at": self._arrived_at.get(request), "closed_at": request.closed_at}
        return {"opening": opening, "tokens_sent": request.tokens_sent, **times}


async def _serve(port: int) -> None:
    engine = Engine()
    async with await engine.listen(port):
        print(engine.url, flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(engine.obey(line)), flush=True)


def main() -> None:
    """Serve until nobody gives orders any more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    uvloop.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
