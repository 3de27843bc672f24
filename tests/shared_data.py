"""Where the shared imagery is, for the tests that want real scenes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("ULTRARES_DATA", Path(__file__).parents[2] / "shared" / "data"))

needs_shared_data = pytest.mark.skipif(
    not FOLDER.exists(), reason=f"the shared imagery is not at {FOLDER}; set ULTRARES_DATA"
)
