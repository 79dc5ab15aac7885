"""The steps of a copy: digest both databases in blocks, write the blocks that differ, and digest these again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice

from logs.management.copying.databases import Database
from logs.management.copying.state import State
from logs.management.copying.tables import Table, tables
from logs.management.copying.values import Checker, digest

MAX_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Block:
    """What is known of a block: equal blocks have equal rows."""

    rows: int
    digest: bytes


Blocks = dict[int, Block]  # By number; a block without rows is missing.
Log = dict[str, Blocks]  # By table.
Changes = Sequence[tuple[Table, list[int]]]  # The numbers of the blocks to write.
Advance = Callable[[int], object]  # Is called with numbers of rows.


def examine(source: Database, problems: list[str], advance: Advance) -> Log:
    """Digest all rows of the source; add a line to `problems` for each value that cannot be copied."""
    log = no_rows()
    for table in tables():
        checker, blocks = Checker(table), log[table.name]
        for number in source.blocks(table):
            rows = source.read(table, number)
            problems += islice(checker.problems(rows), MAX_PROBLEMS - len(problems))
            blocks[number] = Block(len(rows), digest(rows))
            advance(len(rows))
    return log


def no_rows() -> Log:
    """Return what is known of an empty database."""
    return {table.name: {} for table in tables()}


def digest_all(database: Database, advance: Advance) -> Log:
    """Digest all rows of a database."""
    log = no_rows()
    digest_blocks(database, log, [(table, list(database.blocks(table))) for table in tables()], advance)
    return log


def digest_blocks(database: Database, log: Log, changes: Changes, advance: Advance) -> None:
    """Digest some blocks again, and replace what a log says about them."""
    for table, numbers in changes:
        for number in numbers:
            rows = database.read(table, number)
            log[table.name].pop(number, None)
            if rows:
                log[table.name][number] = Block(len(rows), digest(rows))
            advance(len(rows))


def differences(new: Log, old: Log) -> Changes:
    """Return the blocks that two logs do not have in common, for the tables that have any."""
    changes = [(table, sorted(_differing(new[table.name], old[table.name]))) for table in tables()]
    return [(table, numbers) for table, numbers in changes if numbers]


def _differing(new: Blocks, old: Blocks) -> set[int]:
    return {number for number in new.keys() | old.keys() if new.get(number) != old.get(number)}


def rows_of(log: Log, changes: Changes) -> int:
    """Return the number of rows in some blocks."""
    return sum(
        log[table.name][number].rows for table, numbers in changes for number in numbers if number in log[table.name]
    )


def checksums(log: Log) -> dict[str, str]:
    """Return the checksum of each table."""
    return {name: _checksum(blocks) for name, blocks in log.items()}


def _checksum(blocks: Blocks) -> str:
    return sha256(repr([(number, blocks[number].digest) for number in sorted(blocks)]).encode()).hexdigest()


def write(source: Database, target: Database, state: State, changes: Changes, advance: Advance) -> None:
    """Replace blocks of the target by those of the source, each in a transaction.

    A table's old rows are deleted first: a new row may have the unique value of an old one in another block.
    """
    target.begin_session()
    state.begin([table.name for table in tables()])
    for table, numbers in changes:
        for number in numbers:
            with state.writing():
                target.delete(table, number)
        for number in numbers:
            rows = source.read(table, number)
            with state.writing():
                target.insert(table, rows)
            advance(len(rows))
    with state.writing():
        for table in tables():
            if table.has_sequence:
                target.continue_keys_after(table, source.greatest_key(table))
