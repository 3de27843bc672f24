from __future__ import annotations

import math

import pytest

from ultrares.benchmark.plan import find_plan, known_plans, read_plan
from ultrares.benchmark.published import published, published_tables
from ultrares.errors import OptionError


def test_numbers_stand_where_the_paper_has_them() -> None:
    """One from each table, read by eye."""
    tables = published_tables()
    assert tables["table-2-imagenet-x2"].rows["CSP-WaveDiffUR"][1] == 52.97
    assert tables["table-2-aid-x4"].rows["LWTDM"] == (67.34, 32.23, 0.58, 12.63, 14.11, 20.11, 2.52)
    assert tables["table-3-dota-x2"].rows["LSR-SR"][4] == 12.73
    assert tables["table-3-dior-x2"].rows["RefVAE"][4] == 24.37
    assert tables["table-4-dota-psnr"].rows["EDiffSR"][-1] == 7.15
    assert tables["table-4-dior-sre"].rows["CSP-WaveDiffUR (one-step)"] == (
        *(12.71, 13.81, 15.32),
        *(19.32, 22.12, 24.96),
    )
    assert tables["table-4-ddisr-sre"].rows["EDiffSR-WaveDiffUR"][0] == 21.11
    assert tables["table-5"].rows["Proposed-2"] == (29.12, 54.82, 9.81, 14.03)
    assert tables["table-6"].rows["Progressive"][3] == 8.87
    assert not tables["neurop-diff"].rows


def test_what_cannot_be_read_is_no_number() -> None:
    rows = published_tables()["table-3-dior-x4"].rows
    unreadable = {name for name, numbers in rows.items() if any(map(math.isnan, numbers))}
    assert unreadable == {"LWTDM", "CSP-WaveDiffUR"}


def test_every_table_that_cannot_be_right_says_so() -> None:
    """The findings of the design's section 4.3."""
    tables = published_tables()
    assert all(table.warnings for table in tables.values())
    for name, words in (
        ("table-2-imagenet-x2", "5.8 degrees"),
        ("table-3-dota-x2", "below any plausible bicubic"),
        ("table-4-dota-psnr", "constant image"),
        ("table-4-dota-psnr", "swapped"),
        ("table-4-ddisr-sre", "No formula"),
        ("table-5", "168.14"),
        ("table-6", "54.82"),
        ("claims", "AG alone"),
    ):
        assert any(words in warning for warning in tables[name].warnings), name
    assert tables["table-4-dior-psnr"].columns[2:] == ("x16*", "x32*", "x64*", "x128*")
    assert not any("*" in column for column in tables["table-4-ddisr-psnr"].columns)


def test_columns_mean_a_metric_at_a_scale() -> None:
    tables = published_tables()
    assert tables["table-4-dior-sre"].meaning("x16*") == ("sre", 16)
    assert tables["table-2-aid-x4"].meaning("PSNR") == ("psnr", 4)
    assert tables["claims"].meaning("printed") is None


@pytest.mark.parametrize("name", known_plans())
def test_plans_that_ship_can_be_read(name: str) -> None:
    plan = read_plan(find_plan(name))
    published(plan.published)
    assert plan.name == name
    known = {row for table in published_tables().values() for row in table.rows}
    assert {entry.counterpart for entry in plan.models} - {None} <= known
    assert set(plan.pictured) <= set(plan.scales)


def test_unknown_tables_are_told_the_known_ones() -> None:
    with pytest.raises(OptionError, match="table-5"):
        published(["table-7"])
