"""Statements for PostgreSQL that are sent together, and waited for once.

On psycopg's own connection, but past its cursors, which take several times as long for a statement as the server does.
"""

import select
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import count
from typing import Any, Final, NamedTuple

from psycopg import Connection, errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus
from psycopg.pq.abc import PGresult

_AUTO: Final = PyFormat.AUTO
_ROWS: Final = ExecStatus.TUPLES_OK
_DONE: Final = ExecStatus.COMMAND_OK
_END: Final = ExecStatus.PIPELINE_SYNC


class Answer(NamedTuple):
    """The rows that a statement gave, or how many it changed."""

    rows: list[Any]
    written: int


class Pipeline:
    """Runs statements on one connection; those of a connection that is kept are prepared when they are first met."""

    def __init__(self, connection: "Connection[Any]", *, prepares: bool) -> None:
        self._connection = connection
        self._transformer = Transformer(connection)
        self._prepares = prepares
        # By the statement and its values' types.
        self._prepared: dict[tuple[str, tuple[int, ...]], bytes] = {}
        self._numbers = count(1)
        self._readable = select.poll()
        self._readable.register(connection.pgconn.socket, select.POLLIN)

    def run(self, statements: Iterable[tuple[str, Sequence[object]]]) -> list[Answer]:
        """Run the statements in order and return what came of each. Raises psycopg's error of the first that fails.

        Those behind one that fails are not run.
        """
        connection = self._connection.pgconn
        fresh: dict[tuple[str, tuple[int, ...]], bytes] = {}
        # All of them first: a value that cannot be written must not leave half of them sent.
        dumped = [(statement, *self._dumped(statement, values)) for statement, values in statements]
        connection.enter_pipeline_mode()
        try:
            # Whether each command that was sent is a statement's own, or prepares one.
            own: list[bool] = []
            for statement, parameters, types, formats in dumped:
                if not self._prepares:
                    connection.send_query_params(_numbered(statement), parameters, types, formats)
                else:
                    key = (statement, types)
                    name = self._prepared.get(key) or fresh.get(key)
                    if name is None:
                        # A new one each time: nobody knows whether one of a pipeline that failed is there.
                        name = fresh[key] = f"ledger_{next(self._numbers)}".encode()
                        connection.send_prepare(name, _numbered(statement), types)
                        own.append(False)
                    connection.send_query_prepared(name, parameters, formats)
                own.append(True)
            connection.pipeline_sync()
            results = self._results()
        finally:
            connection.exit_pipeline_mode()
        self._prepared |= fresh
        return [self._answer(result) for result, is_own in zip(results, own, strict=True) if is_own]

    def _dumped(self, statement: str, values: Sequence[object]) -> tuple[Sequence[Any], tuple[int, ...], Any]:
        """Return values as they are sent, with their types and formats."""
        if len(values) != _marks(statement):
            # The server would take it for a fault of the connection, and so would who tries again.
            raise errors.ProgrammingError(f"{len(values)} values for {_marks(statement)} marks")
        parameters = self._transformer.dump_sequence(values, [_AUTO] * len(values))
        return parameters, self._transformer.types or (), self._transformer.formats

    def commit(self) -> None:
        """End the transaction. Raises psycopg's error, OperationalError if the answer is lost."""
        # Its text is sent each time: there is nothing to prepare.
        result = self._connection.pgconn.exec_(b"COMMIT")
        self._check(result)
        if result.command_status != b"COMMIT":
            raise errors.InternalError("the transaction was rolled back")

    def _results(self) -> list[PGresult]:
        """Send what is left to be sent, and receive one result for each command."""
        connection = self._connection.pgconn
        self._flush()
        results: list[PGresult] = []
        while True:
            while connection.is_busy():
                self._readable.poll()
                connection.consume_input()
            result = connection.get_result()
            if result is None:
                if connection.status != ConnStatus.OK:
                    raise errors.OperationalError("the connection broke")
                # The end of one command's results; those of the next one follow.
                continue
            if result.status == _END:
                break
            results.append(result)
        for result in results:
            self._check(result)
        return results

    def _check(self, result: PGresult) -> None:
        """Raise psycopg's error for a result that is none."""
        if result.status in (_ROWS, _DONE):
            return
        if not result.error_field(DiagnosticField.SQLSTATE):
            # The server did not say it: the connection broke.
            raise errors.OperationalError(result.get_error_message(self._transformer.encoding))
        raise errors.error_from_result(result, self._transformer.encoding)

    def _flush(self) -> None:
        connection = self._connection.pgconn
        if not connection.flush():
            return
        ready = select.poll()
        ready.register(connection.socket, select.POLLIN | select.POLLOUT)
        while connection.flush():
            for _, event in ready.poll():
                if event & select.POLLIN:
                    connection.consume_input()

    def _answer(self, result: PGresult) -> Answer:
        if result.status != _ROWS:
            return Answer([], result.command_tuples or 0)
        self._transformer.set_pgresult(result)
        return Answer(self._transformer.load_rows(0, result.ntuples, tuple), result.ntuples)


@cache
def _marks(statement: str) -> int:
    return statement.count("%s")


@cache
def _numbered(statement: str) -> bytes:
    """Return a statement with PostgreSQL's marks for values."""
    first, *others = statement.split("%s")
    return (first + "".join(f"${number}{part}" for number, part in enumerate(others, 1))).encode()
