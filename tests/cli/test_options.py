"""Text becomes values, or a usage error."""

from __future__ import annotations

import pytest
import typer

from ultrares.cli.options import parse_bounds


@pytest.mark.parametrize("text", ["-33 -8.5 -32 -7", "-33,-8.5,-32,-7", "-33, -8.5, -32, -7"])
def test_bounds_are_four_numbers(text):
    assert parse_bounds(text) == (-33, -8.5, -32, -7)


@pytest.mark.parametrize("text", ["", "1 2 3", "1 2 3 4 5", "a b c d", "0 0 nan 1", "0 0 inf 1"])
def test_other_bounds_are_refused(text):
    with pytest.raises(typer.BadParameter, match="four numbers"):
        parse_bounds(text)


@pytest.mark.parametrize("text", ["1 0 0 1", "0 1 1 0", "0 0 0 1"])
def test_empty_bounds_are_refused(text):
    with pytest.raises(typer.BadParameter, match="empty"):
        parse_bounds(text)
