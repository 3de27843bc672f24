"""The files of a run: what is read, what is written, and how it appears all at once."""

from __future__ import annotations

from collections.abc import Set
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ultrares.errors import OutputError
from ultrares.run import Run
from ultrares.scene.check import SPREAD
from ultrares.scene.evidence import EVIDENCE, EVIDENCE_IN_WORDS, profile_of_evidence
from ultrares.scene.opening import FileSink, check_kind, check_named, open_sink
from ultrares.scene.profile import SceneProfile
from ultrares.scene.publishing import check_target, commit_together
from ultrares.scene.stac_input import asset_path, is_item, item_times
from ultrares.scene.stac_item import Origins, StacFile, Written, times_of
from ultrares.scene.staging import Staging, is_published
from ultrares.scene.zarr_layout import is_zarr
from ultrares.scene.zarr_sink import Layout, layout_for
from ultrares.types import Window


@dataclass(frozen=True)
class Sinks:
    """Where the pixels of a run go.

    Attributes:
        tile: Output pixels a side of the tiles that are written.
        product: Of the result.
        spread: Of the uncertainty.
        layers: Of what else was asked for, by name.
        item: The STAC item of all of them.
    """

    tile: int
    product: FileSink
    spread: FileSink | None
    layers: dict[str, FileSink]
    item: StacFile | None

    @property
    def finished(self) -> Set[Window]:
        """The windows that all of them have, of an earlier run."""
        sinks = [self.product, *self.layers.values()]
        if self.spread is not None:
            sinks.append(self.spread)
        return frozenset.intersection(*(frozenset(sink.finished) for sink in sinks))

    def commit(self) -> None:
        """Publish all: the product after what goes with it, the item after all that it names."""
        before = [*([] if self.spread is None else [self.spread]), *self.layers.values()]
        after = [] if self.item is None else [self.item]
        commit_together(*before, self.product, *after)


@dataclass(frozen=True)
class Files:
    """The files of a run: what is read, and what is written.

    Attributes:
        source: The scene.
        variable: Which array of a Zarr is the scene.
        target: The result.
        uncertainty: The standard deviation of the draws.
        evidence: How much of the result the scene does not explain.
        reference: A finer raster of the place.
        item: The STAC item that the scene was found through.
        stac: Whether a STAC item is written.
        overwrite: Whether what exists may be replaced.
        restart: Whether what an earlier run left unfinished is thrown away.
    """

    source: str | Path
    variable: str | None
    target: str | Path
    uncertainty: str | Path | None
    evidence: str | Path | None
    reference: str | Path | None
    item: str | Path | None
    stac: bool
    overwrite: bool
    restart: bool

    @property
    def item_target(self) -> Path:
        """Where the STAC item goes."""
        return Path(self.target).with_suffix(".json")

    @property
    def outputs(self) -> list[str | Path]:
        """All that is written."""
        item = self.item_target if self.stac else None
        paths = (self.target, self.uncertainty, self.evidence, item)
        return [path for path in paths if path is not None]

    def check(self) -> None:
        """Refuse, before any work, outputs that cannot be written or would replace what is read."""
        names = {"uncertainty": self.uncertainty, "evidence": self.evidence}
        written = [path for path in (self.target, *names.values()) if path is not None]
        for file in written:
            check_named(file)
        inputs = [path for path in (self.source, self.item, self.reference) if path is not None]
        for output in self.outputs:
            for file in inputs:
                check_target(file, output, overwrite=self._replaceable(output))
        for file in written:
            check_kind(file)
        taken = [Path(self.target).resolve()]
        for name, path in names.items():
            if path is None:
                continue
            if Path(path).resolve() in taken:
                raise OutputError(
                    f"{path} cannot hold both the result and its {name}; choose another name for the {name}"
                )
            taken.append(Path(path).resolve())

    def _replaceable(self, output: str | Path) -> bool:
        """Whether an output may be replaced: a run that was ended while it tidied up has left its own."""
        if self.overwrite:
            return True
        product = self.target if output == self.item_target else output
        return is_published(product) and not self.restart

    def open_sinks(self, stack: ExitStack, run: Run) -> Sinks:
        """Sinks of the result and of all else that is asked for, which the stack closes."""
        opening = _Opening(self, stack, run)
        shown, profile = run.options.shown, run.profile
        content = "scene" if shown == 1 else f"mean of {shown} draws"
        # The tiles of the first may have been begun with another side, which the others then share.
        product = opening.sink(self.target, profile, content)
        spread, layers, item = None, {}, None
        if self.uncertainty is not None:
            content = f"{SPREAD} of {shown} draws"
            spread = opening.sink(self.uncertainty, profile.of_spread(), content)
        if self.evidence is not None:
            layers[EVIDENCE] = opening.sink(
                self.evidence, profile_of_evidence(profile), EVIDENCE_IN_WORDS
            )
        if self.stac:
            item = self._stac_file(run, product, spread, layers)
            stack.enter_context(item)
        return Sinks(opening.tile, product, spread, layers, item)

    def _stac_file(
        self, run: Run, sink: FileSink, spread: FileSink | None, layers: dict[str, FileSink]
    ) -> StacFile:
        """The STAC item of all that is written."""
        profile, tags = run.profile, run.tags
        written = [Written("product", sink, profile, "The finer scene", ("data",))]
        if spread is not None:
            title = "Standard deviation of the draws"
            roles = ("metadata", "uncertainty")
            written.append(Written("uncertainty", spread, profile.of_spread(), title, roles))
        for name, layer in layers.items():
            title = "How much the input does not explain"
            roles = ("metadata", name)
            written.append(Written(name, layer, profile_of_evidence(profile), title, roles))
        said = None if self.item is None else item_times(self.item)
        origins = Origins(
            source=str(self.source),
            item=None if self.item is None else str(self.item),
            times=said or times_of(run.scene.profile, str(self.source)),
            model=_model_facts(tags),
            version=tags["ULTRARES_VERSION"],
            lineage=_lineage(tags),
        )
        target = self.item_target
        return StacFile(target, written, origins, overwrite=self._replaceable(target))


class _Opening:
    """Opens the sinks of a run one after the other, all with tiles of one side."""

    def __init__(self, files: Files, stack: ExitStack, run: Run) -> None:
        self._files, self._stack, self._run = files, stack, run
        self.tile, self._facts = run.tile, run.facts
        self._with_zarr = any(map(is_zarr, files.outputs))
        if self._with_zarr:
            # Its shards are tiles, and what is made with it has the same.
            self.tile = self._layout().shard
            if self._facts is not None:
                self._facts["tiles"] = "shards of a Zarr"

    def sink(self, path: str | Path, profile: SceneProfile, content: str) -> FileSink:
        """The sink of an output."""
        staging = self._staging(path, content)
        sink = open_sink(
            path,
            profile,
            self._run.tags | {"ULTRARES_CONTENT": content},
            overwrite=self._files.overwrite,
            layout=self._layout(),
            staging=staging,
            cache=self._run.budget.blocks,
        )
        self._stack.enter_context(sink)
        if self._facts is not None:
            self._facts["side of tiles"] = str(self.tile)
        return sink

    def _layout(self) -> Layout:
        """How a Zarr holds tiles of this side; tiles of its shards' side have the same."""
        factor = self._run.grid.factor
        return layout_for(max(self.tile, factor or 0), factor)

    def _staging(self, target: str | Path, content: str) -> Staging:
        """The staging folder of a result, which is still free to be made."""
        files = self._files
        facts = None if self._facts is None else self._facts | {"content": content}
        staging = Staging(target, facts, tile=self.tile, restart=files.restart)
        try:
            check_target(files.source, target, overwrite=files.overwrite or staging.published)
        except BaseException:
            staging.close()
            raise
        self.tile = staging.tile
        return staging


def found(
    source: str | Path, asset: str | None
) -> tuple[str | Path, str | None, str | Path | None]:
    """The scene's raster, which array of it is meant, and the STAC item that names it, if one does."""
    if is_item(source):
        return asset_path(source, asset), None, source
    return source, asset, None


def _lineage(tags: dict[str, str]) -> str:
    return (
        f"{tags['ULTRARES_SOURCE']} made finer by {tags['ULTRARES_SCALE']} with ultrares "
        f"{tags['ULTRARES_VERSION']}, model {tags['ULTRARES_MODEL']}, mode {tags['ULTRARES_MODE']}"
    )


def _model_facts(tags: dict[str, str]) -> dict[str, Any]:
    """What made a product, for its STAC item."""
    options = ("SCALE", "MODE", "DRAWS", "STEPS", "SEED", "SENSOR", "REFERENCE")
    return {
        "name": tags["ULTRARES_MODEL"],
        "sha256": tags["ULTRARES_MODEL_SHA256"],
        "task": "super-resolution",
        "effective_resolution": tags["ULTRARES_EFFECTIVE_RESOLUTION"],
        "hyperparameters": {name.lower(): tags[f"ULTRARES_{name}"] for name in options},
    }
