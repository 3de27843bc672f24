"""What a journal says after any end of its writer is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from ultrares.scene.journal import Journal
from ultrares.types import Window

RECORDS = [(Window(16 * i, 0, 16, 20 + i), f"mark{i}:{i:04x}") for i in range(4)]


def written(path: Path) -> bytes:
    with Journal(path) as journal:
        for window, mark in RECORDS:
            journal.record(window, mark)
    return path.read_bytes()


def test_what_was_recorded_is_found_again(tmp_path: Path) -> None:
    written(tmp_path / "journal")
    with Journal(tmp_path / "journal") as journal:
        assert list(journal.finished.items()) == RECORDS
        journal.forget(RECORDS[1][0])
        assert list(journal.finished) == [RECORDS[i][0] for i in (0, 2, 3)]
        journal.record(RECORDS[0][0], "newer")
    with Journal(tmp_path / "journal") as journal:
        assert journal.finished[RECORDS[0][0]] == "newer"


def test_cut_anywhere_it_holds_the_first_records_and_takes_more(tmp_path: Path) -> None:
    data = written(tmp_path / "journal")
    for length in range(len(data)):
        path = tmp_path / "cut"
        path.write_bytes(data[:length])
        whole = data[:length].count(b"\n") + data[length : length + 1].count(b"\n")
        with Journal(path) as journal:
            assert list(journal.finished.items()) == RECORDS[:whole]
            journal.record(Window(9, 9, 9, 9), "more")
        with Journal(path) as journal:
            assert list(journal.finished.items()) == [
                *RECORDS[:whole],
                (Window(9, 9, 9, 9), "more"),
            ]


@pytest.mark.parametrize("bit", [0, 4, 7])
def test_a_changed_byte_hides_a_record_and_never_alters_one(tmp_path: Path, bit: int) -> None:
    data = written(tmp_path / "journal")
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << bit
        path = tmp_path / "changed"
        path.write_bytes(changed)
        with Journal(path) as journal:
            found = list(journal.finished.items())
        assert set(found) <= set(RECORDS)
        assert len(found) >= len(RECORDS) - 2
