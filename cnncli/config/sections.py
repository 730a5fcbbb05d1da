"""The sections of a config: which keys each has, what they take, and their defaults."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    model_validator,
)

from cnncli.config.errors import Problem
from cnncli.config.field_values import (
    auto_or_up_to,
    expand_home,
    read_class_weights,
    read_colour,
    read_logs,
    read_name,
    read_name_alone,
    read_size,
    read_teachers,
    read_teachers_alone,
    read_validation,
)
from cnncli.config.list_entries import (
    ListEntry,
    Options,
    read_entry,
    read_option,
    read_options,
    read_text,
)
from cnncli.config.set_entries import read_sets
from cnncli.data.dataset import SetEntry
from cnncli.data.reading import Reading
from cnncli.types import MeanStd

Text = Annotated[str, PlainValidator(read_text)]
Name = Annotated[str | None, BeforeValidator(read_name)]
OptionValue = Annotated[Any, PlainValidator(read_option)]
Entries = tuple[Annotated[ListEntry, PlainValidator(read_entry)], ...]


class Section(BaseModel):
    """The rules for every section: no unknown keys, no type conversions, no changes after the check."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=False
    )


class Named(Section):
    """A name with its own options; the table that holds the name checks them."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, OptionValue] = Field(init=False)

    @property
    def options(self) -> Options:
        """Everything but the keys declared here."""
        return Options(self.__pydantic_extra__)

    @model_validator(mode="after")
    def _option_names(self) -> Self:
        read_options(self.__pydantic_extra__)
        return self


class NormalizeConfig(Section):
    """Inputs become (pixel / 255 - mean) / std."""

    mean: float = Field(ge=-1000, le=1000, description="a number, the mean of pixels in 0..1")
    std: float = Field(
        gt=0, le=1000, description="a number above 0, the standard deviation of pixels in 0..1"
    )


class DataConfig(Section):
    """The data set, and how its images are prepared."""

    dataset: Annotated[str | tuple[SetEntry, ...], PlainValidator(read_sets)] = Field(
        default="mnist", description="the name of a data set, folder:PATH, or a list of those"
    )
    dir: Annotated[Text, AfterValidator(expand_home)] = Field(
        default="data", description="the folder where data sets live"
    )
    size: Annotated[int | tuple[int, int] | Literal["auto"], BeforeValidator(read_size)] = Field(
        default="auto", description="auto, a whole number of pixels from 1 to 1024, or [height, width]"
    )
    colour: Annotated[bool | Literal["auto"], BeforeValidator(read_colour)] = Field(
        default="auto", description="auto, true or false"
    )
    images: Name = Field(default=None, description="the name of an array, column or file, or null")
    labels: Name = Field(default=None, description="the name of an array, column or file, or null")
    transpose: bool | None = Field(default=None, description="true, false or null")
    labels_from: Name = Field(default=None, description="name, the path of a table, or null")
    invert: bool = Field(default=False, description="true or false")
    validation: Annotated[int | float | Literal["auto"], BeforeValidator(read_validation)] = Field(
        default="auto",
        description="auto, a whole number of images (0 or more), or a fraction between 0 and 1",
    )
    limit: int | None = Field(default=None, ge=1, le=10**9, description="a whole number from 1 up, or null")
    prepare: Literal["auto", "digits", "as_is"] = Field(default="auto", description="auto, digits or as_is")
    unknown: float = Field(default=0.0, ge=0, lt=1, description="a number from 0 to below 1")
    normalize: NormalizeConfig | None = Field(default=None, description="{mean: ..., std: ...}, or null")
    augment: Entries = Field(default=(), strict=False, description="a list of augmentations")

    @property
    def sets(self) -> tuple[SetEntry, ...]:
        """The sets of `dataset`, also if it is one name."""
        return (SetEntry(self.dataset),) if isinstance(self.dataset, str) else self.dataset

    @property
    def reading(self) -> Reading:
        """What the files of a set of the user's own do not tell."""
        return Reading(self.images, self.labels, self.transpose, self.labels_from, self.invert)

    @property
    def set_title(self) -> str:
        """The names of the sets, as in "mnist + synthetic"."""
        return " + ".join(entry.name for entry in self.sets)

    @model_validator(mode="after")
    def _limit_of_one_set(self) -> Self:
        if self.limit is not None and not isinstance(self.dataset, str):
            hint = "give each set its own limit, such as [mnist, {synthetic: {limit: 1000}}]"
            raise Problem(
                "data.dataset is a list, so this limit has no meaning", key_path=("limit",), hint=hint
            )
        return self

    @property
    def mean_std(self) -> MeanStd | None:
        """The mean and standard deviation of `normalize`, or None."""
        return (self.normalize.mean, self.normalize.std) if self.normalize else None


class OptimizerConfig(Named):
    """Which optimizer, its peak learning rate, and its own options (`momentum`, `betas`, ...)."""

    name: Text = Field(default="adam", description="the name of an optimizer")
    lr: float = Field(default=1e-3, gt=0, description="a number above 0")


class ScheduleConfig(Named):
    """How the learning rate changes, and the schedule's own options."""

    name: Text = Field(default="constant", description="the name of a schedule")


class MixConfig(Named):
    """How pairs of training images are mixed, and its own options."""

    name: Text = Field(description="the name of a way to mix images")


class DistillConfig(Section):
    """Whose answers are learned from beside the labels."""

    teachers: Annotated[tuple[str, ...], BeforeValidator(read_teachers)] = Field(
        strict=False, description="a run, or a list of runs"
    )
    share: float = Field(default=0.5, gt=0, le=1, description="a number above 0, up to 1")
    temperature: float = Field(default=1.0, ge=0.1, le=100, description="a number from 0.1 to 100")


class AverageConfig(Named):
    """Which average of the weights is kept, and its own options."""

    name: Text = Field(description="the name of a way to average weights")


class SaveEvery(Section):
    """How often a checkpoint is written within an epoch, whichever limit comes first; every epoch ends with one."""

    steps: int | None = Field(
        default=None, ge=1, le=10**9, description="a whole number of steps from 1 up, or null"
    )
    seconds: float | None = Field(
        default=60.0, gt=0, le=10**9, description="a number of seconds above 0, or null"
    )


Optimizer = Annotated[OptimizerConfig, BeforeValidator(read_name_alone)]
Schedule = Annotated[ScheduleConfig, BeforeValidator(read_name_alone)]
Mix = Annotated[MixConfig | None, BeforeValidator(read_name_alone)]
Distill = Annotated[DistillConfig | None, BeforeValidator(read_teachers_alone)]
Average = Annotated[AverageConfig | None, BeforeValidator(read_name_alone)]


class TrainConfig(Section):
    """How the network is trained."""

    epochs: int = Field(default=10, ge=1, le=100_000, description="a whole number from 1 to 100000")
    batch_size: int = Field(default=128, ge=1, le=65536, description="a whole number from 1 to 65536")
    optimizer: Optimizer = Field(
        default=OptimizerConfig(), description="a name, or {name: ..., lr: ..., options}"
    )
    schedule: Schedule = Field(default=ScheduleConfig(), description="a name, or {name: ..., options}")
    warmup_epochs: float = Field(default=0.0, ge=0, description="a number of epochs from 0 up")
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="a number from 0 to below 1")
    mix: Mix = Field(default=None, description="a name, {name: ..., options}, or null")
    class_weights: Annotated[
        Literal["balanced"] | dict[str, float] | None, BeforeValidator(read_class_weights)
    ] = Field(default=None, description="{class: number above 0}, balanced, or null")
    distill: Distill = Field(
        default=None, description="{teachers: [...], share: ..., temperature: ...}, or null"
    )
    clip_norm: float | None = Field(default=None, gt=0, description="a number above 0, or null")
    average: Average = Field(default=None, description="a name, {name: ..., options}, or null")
    patience: int | None = Field(
        default=None, ge=1, le=100_000, description="a whole number of epochs from 1 up, or null"
    )
    save_every: SaveEvery = Field(default=SaveEvery(), description="{steps: ..., seconds: ...}")
    drop_last: bool = Field(default=False, description="true or false")
    init_from: Text | None = Field(default=None, description="the name of a run, a path, or null")
    init_partial: bool = Field(default=False, description="true or false")
    freeze: tuple[Text, ...] = Field(default=(), strict=False, description="a list of layers")
    log: Annotated[tuple[str, ...], BeforeValidator(read_logs)] = Field(
        default=(), strict=False, description="a list of logs: [tensorboard], or []"
    )
    eval_batch_size: int = Field(default=1000, ge=1, le=65536, description="a whole number from 1 to 65536")

    @model_validator(mode="after")
    def _partial_of_something(self) -> Self:
        if self.init_partial and self.init_from is None:
            raise Problem("there is no train.init_from to take a part of", key_path=("init_partial",))
        return self

    @model_validator(mode="after")
    def _warm_up_ends(self) -> Self:
        if self.warmup_epochs > self.epochs:
            found = f"found {self.warmup_epochs:g}"
            raise Problem(
                f"expected at most train.epochs ({self.epochs}), {found}", key_path=("warmup_epochs",)
            )
        return self


class EngineConfig(Section):
    """How the network is computed; this changes the speed and the rounding of sums."""

    kind: Literal["fast", "plain"] = Field(default="fast", description="fast or plain")
    workers: Annotated[int | Literal["auto"], auto_or_up_to(1024)] = Field(
        default="auto", description="auto, or a whole number from 1 to 1024"
    )
    shards: Annotated[int | Literal["auto"], auto_or_up_to(64)] = Field(
        default="auto", description="auto, or a whole number from 1 to 64"
    )
    start_method: Literal["auto", "fork", "spawn", "forkserver"] = Field(
        default="auto", description="auto, fork, spawn or forkserver"
    )
    dtype: Literal["float32", "float64"] = Field(default="float32", description="float32 or float64")

    @model_validator(mode="after")
    def _float64_is_to_plain(self) -> Self:
        if self.dtype == "float64" and self.kind != "plain":
            hint = "set engine.kind to plain, or engine.dtype to float32"
            raise Problem(
                "the fast executor computes in float32, found float64", key_path=("dtype",), hint=hint
            )
        return self
