from __future__ import annotations

from pathlib import Path

import pytest

from ultrares.benchmark import command
from ultrares.errors import OptionError


def test_from_the_plan_to_the_page(tmp_path: Path, imagery: Path) -> None:
    """The whole way, of one image and a scale; a second call keeps all and a wrong limit is refused."""
    path = tmp_path / "small.toml"
    path.write_text(
        'name = "small"\ntitle = "t"\nmirrors = "m"\nmetrics = ["psnr"]\nscales = [4]\npictured = [4]\n'
        '[[data]]\nname = "scenes"\ntruth = 64\n[[models]]\nmodel = "bicubic"\n'
    )
    first = command.benchmark(path, imagery, tmp_path / "out", limit=1)
    assert first.as_dict() == {
        "report": str(tmp_path / "out/report.html"),
        "results": str(tmp_path / "out/results.csv"),
        "measured": 4,
        "kept": 0,
        "not_run": 0,
        "answers": [],
    }
    assert first.report.read_text().count("data:image/jpeg") == 4
    assert command.benchmark(path, imagery, tmp_path / "out", limit=1).kept == 4
    with pytest.raises(OptionError, match="limit is 0"):
        command.benchmark(path, imagery, tmp_path / "out", limit=0)
