"""Every config that can be built is written as YAML that reads back as itself."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnncli.config.errors import Origin
from cnncli.config.schema import Config
from cnncli.config.yaml_reader import read_yaml

WHOLE = st.integers(-(2**63) + 1, 2**63 - 1)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(0, exclude_min=True, allow_infinity=False)
WORDS = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cf", "Co", "Cn", "Zl", "Zp", "Zs"]),
    min_size=1,
    max_size=30,
)
SCALAR = st.one_of(
    st.none(), st.booleans(), WHOLE, FINITE, WORDS, st.sampled_from(["yes", "null", "1e-3", "~", "-"])
)
OPTION = st.one_of(SCALAR, st.lists(st.one_of(SCALAR, st.lists(SCALAR, max_size=2)), max_size=3))
NAMES = st.one_of(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True),
    st.sampled_from(["null", "true", "no", "_"]),
)
OPTIONS = st.dictionaries(NAMES, OPTION, max_size=3)
LAYER = st.one_of(NAMES, st.tuples(NAMES, st.one_of(OPTION, OPTIONS)).map(lambda entry: {entry[0]: entry[1]}))
NAMED = st.tuples(OPTIONS, WORDS).map(lambda parts: {**parts[0], "name": parts[1]})


def section(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


CONFIGS = st.fixed_dictionaries(
    {"model": st.lists(LAYER, min_size=1, max_size=6)},
    optional={
        "seed": st.integers(0, 2**63 - 1),
        "data": section(
            dataset=WORDS,
            dir=WORDS,
            size=st.integers(1, 1024) | st.lists(st.integers(1, 1024), min_size=2, max_size=2),
            colour=st.booleans(),
            validation=st.just("auto")
            | st.integers(0, 10**9)
            | st.floats(0, 1, exclude_min=True, exclude_max=True),
            limit=st.none() | st.integers(1, 10**9),
            normalize=st.none() | st.fixed_dictionaries({"mean": st.floats(-1, 1), "std": st.floats(0.1, 1)}),
            augment=st.lists(LAYER, max_size=3),
        ),
        "train": section(
            epochs=st.integers(10, 100_000),
            batch_size=st.integers(1, 65536),
            optimizer=st.tuples(NAMED, POSITIVE).map(lambda parts: {**parts[0], "lr": parts[1]}),
            schedule=NAMED,
            average=st.none() | NAMED | WORDS,
            warmup_epochs=st.floats(0, 10) | st.integers(0, 10),
            label_smoothing=st.floats(0, 1, exclude_max=True),
            clip_norm=st.none() | POSITIVE,
            patience=st.none() | st.integers(1, 100_000),
            save_every=section(steps=st.none() | st.integers(1, 10**9), seconds=st.none() | st.floats(1, 99)),
            drop_last=st.booleans(),
        ),
        "engine": section(kind=st.just("plain"), workers=st.integers(1, 1024)),
    },
)  # fmt: skip


@pytest.mark.parametrize("count", [50, pytest.param(500, marks=pytest.mark.slow)])
def test_every_config_reads_back_as_itself(count: int) -> None:
    @settings(max_examples=count, deadline=None, derandomize=True)
    @given(CONFIGS)
    def check(data: dict[str, Any]) -> None:
        config = Config.model_validate(data)
        text = config.to_yaml()
        again = Config.from_data(read_yaml(text, str)[0], Origin())
        assert again == config
        assert again.to_yaml() == text

    check()
