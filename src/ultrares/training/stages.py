"""The stages of a recipe: one network each, and how it is trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from ultrares.backbones.system import System, SystemPreset, SystemSettings
from ultrares.backbones.systems import SYSTEMS
from ultrares.methods.saved_operator import OperatorConfig, PixelDenoiserConfig
from ultrares.training.sections import (
    ContinuousData,
    DataSection,
    FusionData,
    FusionNetSection,
    LossSection,
    NetSection,
    OptimiserSection,
    Part,
    RestorationNetSection,
    Section,
    SystemData,
    TilesSection,
)

DEEPEST = 3
"""Depths that are drawn where no reference tells anything: what the fourth level of a cascade sees then is known from the
third."""


class Phase(Section):
    """What is different from a stage when its network is trained on.

    Keys of ``data`` and ``optimiser`` take the place of those before, a ``loss`` that of the whole loss.
    """

    seed: int | None = None
    """Seed of every draw; without it, that before and 1."""
    data: dict[str, Any] = Field(default_factory=dict)
    optimiser: dict[str, Any] = Field(default_factory=dict)
    loss: dict[str, Any] | str | None = None


class AnyStage(Section):
    """What all stages have."""

    seed: int = 0
    """Seed of initial weights and of every draw."""
    start_from: str | None = None
    """Model whose weights the network starts from: a name, a folder or a hub id; none for fresh ones."""
    data: TilesSection
    optimiser: OptimiserSection
    then: tuple[Phase, ...] = ()
    """How the network is trained on afterwards, each time from the averaged weights of the time before."""

    @property
    def phases(self) -> tuple[Self, ...]:
        """The times that the network is trained, one after the other, as stages of one time each.

        Raises:
            ValueError: One of them is no stage.
        """
        found = [self.model_copy(update={"then": ()})]
        for number, phase in enumerate(self.then):
            before = found[-1].model_dump(exclude_unset=True)
            changes: dict[str, Any] = {
                "seed": found[-1].seed + 1 if phase.seed is None else phase.seed,
                "data": before["data"] | phase.data,
                "optimiser": before["optimiser"] | phase.optimiser,
            }
            if phase.loss is not None:
                changes["loss"] = phase.loss
            try:
                found.append(type(self).model_validate(before | changes))
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in ("then", number, *first["loc"]))
                what = first["msg"].removeprefix("Value error, ")
                raise ValueError(f"{where}: {what}") from error
        return tuple(found)

    @property
    def steps(self) -> int:
        """Optimisation steps of all phases."""
        return sum(phase.optimiser.steps for phase in self.phases)

    def phases_in(self, folder: Path) -> Iterator[tuple[Self, Path]]:
        """The phases with the folder of each: that of the stage, and one in it for each time after."""
        for number, phase in enumerate(self.phases, start=1):
            yield phase, folder if number == 1 else folder / f"{folder.name}-{number}"

    def capped(self, steps: int) -> Self:
        """The same stage with so many steps at most, each time that it trains."""
        least = min(steps, self.optimiser.steps)
        then = tuple(
            phase.model_copy(
                update={"optimiser": phase.optimiser | {"steps": min(steps, run.optimiser.steps)}}
            )
            for phase, run in zip(self.then, self.phases[1:], strict=True)
        )
        optimiser = self.optimiser.model_copy(update={"steps": least})
        return self.model_copy(update={"optimiser": optimiser, "then": then})

    @model_validator(mode="after")
    def _phases_are_stages(self) -> Self:
        # Each is checked as it is made.
        tuple(self.phases)
        return self


class Stage(AnyStage):
    """One network and how it is trained."""

    data: DataSection
    net: NetSection
    loss: LossSection = LossSection()
    """What the backbone's image is compared by; a denoiser has its own loss."""

    @field_validator("data")
    @classmethod
    def _depths_fit(cls, data: DataSection) -> DataSection:
        if len(data.depths) > DEEPEST:
            raise ValueError(
                f"depths takes {DEEPEST} numbers here: a fourth is for a restoration's"
            )
        return data


DenoiserStage = Stage


class RestorationStage(AnyStage):
    """The pyramid and the high-frequency restoration of Algorithm 2, trained with their backbone."""

    data: DataSection
    net: RestorationNetSection = RestorationNetSection()
    loss: LossSection = LossSection()
    details: bool = True
    """Whether the model makes use of its high-frequency restoration; the weights are kept anyway."""
    exits: Part = 0.2
    """Weight of the absolute error of what the backbone, or the conditions on it, would give alone."""


class FusionStage(AnyStage):
    """What brings references to the date of the scene before the pyramid sees them."""

    data: FusionData
    net: FusionNetSection = FusionNetSection()


class SystemStage(AnyStage):
    """One of the papers' systems, and how it is trained."""

    data: SystemData
    kind: str
    """Which system."""
    preset: SystemPreset = "small"
    """The size of the paper, or the small one."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """What differs from the preset; all of it is stored with the weights."""
    features: str | None = None
    """Folder of the feature networks of perceptual losses, where the system has such."""

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if self.then:
            raise ValueError(
                "a system is trained once, for its discriminator would begin anew: leave then out"
            )
        if self.kind not in SYSTEMS:
            raise ValueError(f"there is no system {self.kind!r}: choose {', '.join(SYSTEMS)}")
        for scale in self.resolved.scales:
            if self.data.crop % (2 * scale):
                raise ValueError(f"data.crop is {self.data.crop}, no multiple of {2 * scale}")
        return self

    @property
    def system(self) -> System:
        """The system."""
        return SYSTEMS[self.kind]

    @property
    def resolved(self) -> SystemSettings:
        """The settings that it is trained with."""
        return self.system.with_changes(self.preset, self.settings)


OperatorLoss = Literal["absolute", "log-squared"]


class OperatorStage(AnyStage):
    """A neural operator, trained at continuous scales."""

    data: ContinuousData
    net: OperatorConfig = OperatorConfig()
    encoder_from: str | None = None
    """Model whose backbone's first layers the encoder starts from; of the same size."""
    loss: OperatorLoss = "absolute"
    """The mean absolute error (SRNO's), or the logarithm of the mean squared error, which is PSNR's: it counts a
    decibel at a small scale, where errors are small, like one at a large scale."""


class GridDenoiserStage(AnyStage):
    """The denoiser that a neural operator guides."""

    data: ContinuousData
    net: NetSection
    features: Annotated[int, Field(ge=0)] = 8
    """Channels of the operator that it is told beside the image; 0 for the image alone."""
    prediction: Literal["eps", "v", "x0"] = "v"
    """What it learns to say."""


class PixelDenoiserStage(AnyStage):
    """The paper's denoiser, which is shown the operator's image in pixels."""

    data: ContinuousData
    net: PixelDenoiserConfig = PixelDenoiserConfig()
