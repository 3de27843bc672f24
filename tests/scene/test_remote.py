"""Rasters on a server, which runs in a process of its own: GDAL holds the interpreter's lock while it waits."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio

import ultrares
from tests.scene.conftest import Writer
from ultrares.errors import RasterError
from ultrares.scene.source import RasterSource

SERVER = """
import functools, http.server, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
print(server.server_port, flush=True)
server.serve_forever()
"""
SILENT = """
import socket, time
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
time.sleep(600)
"""


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Addresses of a server of the test's folder, and of one that takes connections and says nothing."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for code in (SERVER, SILENT)
    ]
    ports = []
    for process in processes:
        assert process.stdout is not None
        ports.append(process.stdout.readline().strip())
    yield {name: f"127.0.0.1:{port}" for name, port in zip(("files", "silent"), ports, strict=True)}
    for process in processes:
        process.kill()
        process.communicate()


def test_a_url_is_a_scene_and_its_secrets_stay_secret(
    raster: Writer, serve: dict[str, str], tmp_path: Path
) -> None:
    array = np.random.default_rng(0).integers(1, 255, (3, 20, 30)).astype(np.uint8)
    path, target = raster(array), tmp_path / "fine.tif"
    url = f"http://me:hunter2@{serve['files']}/scene.tif?sig=hunter2"
    ultrares.upscale_scene(url, target, scale=2, model="bicubic")
    assert ultrares.check(target, path).ok
    with rasterio.open(target) as product:
        assert product.tags()["ULTRARES_SOURCE"] == "scene.tif?..."
    assert b"hunter2" not in target.read_bytes()
    with pytest.raises(RasterError, match="404") as caught:
        RasterSource(url.replace("scene", "none"))
    assert "hunter2" not in str(caught.value)


def test_a_server_that_says_nothing_is_given_up(
    serve: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in (("LOW_SPEED_TIME", "1"), ("MAX_RETRY", "0")):
        monkeypatch.setenv(f"GDAL_HTTP_{key}", value)
    with pytest.raises(RasterError, match="is not a raster"):
        RasterSource(f"http://{serve['silent']}/scene.tif")


@pytest.mark.parametrize("form", ["/vsicurl/http://127.0.0.1:1/x.tif", "http://127.0.0.1:1/x.tif"])
def test_no_server_is_a_sentence(form: str) -> None:
    with pytest.raises(RasterError, match="is not a raster that GDAL can read"):
        RasterSource(form)
