"""A network as a C program computes what the network computes, and nothing that C leaves undefined."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cnncli.errors import CnnError, UsageError
from cnncli.export.c import compile as compiling
from cnncli.export.c.compile import run_program
from cnncli.export.c.constants import number, string
from cnncli.export.c.run_bytes import run_bytes
from cnncli.export.c.write import SAME, memory_needed, write
from cnncli.export.images import Images, logits_of
from cnncli.export.subject import Subject
from cnncli.export.write import export_model
from cnncli.training.model import load_model
from tests.export.c.compiled import STRICT, as_type, needs_gcc, plan_of, run_compiled, write_files
from tests.export.networks import (
    CONFIGS,
    EVERY_LAYER,
    LISTS,
    MEANS,
    digits,
    make_config_subject,
    make_subject,
    run_steps,
)

POOLS = [
    {"conv": {"filters": 4, "kernel": 3, "stride": 3, "bias": False}},
    {"maxpool": {"size": [3, 2], "stride": [2, 3], "padding": [1, 0]}},
    "relu",
    {"conv": {"filters": 5, "kernel": [2, 1], "padding": "same"}},
    "leaky_relu",
    {"avgpool": {"size": [4, 3], "stride": 1, "padding": 0}},
    "flatten",
]
"""Ends without a dense layer: the logits are the pixels of an image, one channel after the other."""

NETWORKS = {
    "every layer": lambda: make_subject(EVERY_LAYER),
    "in color": lambda: make_subject(EVERY_LAYER, (3, 21, 28)),
    "means": lambda: make_subject(MEANS, classes=5),
    "groups and dilation": lambda: make_subject(
        [
            {"conv": {"filters": 6, "kernel": 3, "dilation": 2, "padding": [[1, 0], [0, 2]]}},
            "relu",
            {"conv": {"filters": 8, "kernel": [2, 3], "groups": 2, "stride": [1, 2], "padding": 1}},
            {"maxpool": {"size": 3, "stride": 2, "padding": "same"}},
            "flatten",
            {"linear": 10},
        ]
    ),
    "an image at the end": lambda: make_subject(POOLS, (1, 27, 26), 10),
    "a sigmoid at the end": lambda: make_subject(["flatten", {"linear": 10}, "sigmoid"]),
    "a maximum at the end": lambda: make_subject(
        [{"conv": {"filters": 3, "kernel": 5}}, {"maxpool": 24}, "flatten"], classes=3
    ),
    "means of pixels": lambda: make_subject(["globalavgpool", {"linear": 3}], (3, 9, 9), classes=3),
}


def expect_equal(found: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(found - expected).max() <= SAME * max(1, np.abs(expected).max())


@needs_gcc
@pytest.mark.parametrize("name", NETWORKS)
def test_float_logits_are_those_of_the_network(name: str, tmp_path: Path) -> None:
    subject = NETWORKS[name]()
    images = digits(1000, subject.folded.input_shape)
    found = run_compiled(subject, images, tmp_path)
    expect_equal(found, logits_of(subject.model.network, subject.model.normalize, images))


@pytest.mark.parametrize(
    "layer",
    [
        "prelu",
        "silu",
        "gelu",
        {"avgpool": {"size": 3, "stride": 2, "ceil_mode": True}},
        {"residual": ["relu"]},
    ],
)
def test_what_the_program_lacks_is_refused_with_what_to_do(layer) -> None:
    kind = layer if isinstance(layer, str) else next(iter(layer))
    with pytest.raises(UsageError, match=f"{kind}1 cannot be written in C") as caught:
        write(make_subject([layer, "flatten", {"linear": 10}]))
    assert "another format" in caught.value.hint


@needs_gcc
@pytest.mark.parametrize("name", NETWORKS)
def test_bytes_become_the_logits_that_the_same_bytes_give_in_numpy(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = as_type(NETWORKS[name](), "int8")
    images = digits(200, subject.folded.input_shape)
    monkeypatch.setattr(Subject, "find_images", lambda self, count, part: images)
    found = run_compiled(subject, images, tmp_path)
    expect_equal(found, run_bytes(plan_of(subject), images.pixels))
    exact = run_steps(subject.folded, images)
    assert np.abs(found - exact).max() < 0.1 * np.abs(exact).max()


@needs_gcc
@pytest.mark.slow
@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_the_network_of_every_config_is_the_same_in_c(path: Path, tmp_path: Path) -> None:
    subject, images = make_config_subject(path), digits(1000)
    expected = logits_of(subject.model.network, subject.model.normalize, images)
    expect_equal(run_compiled(subject, images, tmp_path, STRICT), expected)
    few = Images(images.pixels[:50], "")
    expect_equal(run_compiled(subject, few, tmp_path), expected[:50])
    small = as_type(subject, "int8")
    found = run_compiled(small, few, tmp_path)
    expect_equal(found, run_bytes(plan_of(small), few.pixels))
    assert (found.argmax(axis=1) == expected[:50].argmax(axis=1)).mean() >= 0.9


@needs_gcc
def test_the_small_network_fits_into_a_microcontroller(tmp_path: Path) -> None:
    subject = as_type(make_config_subject(next(path for path in CONFIGS if path.stem == "small")), "int8")
    path = write_files(subject, tmp_path)
    subprocess.run(["gcc", *STRICT, "-Os", "-c", str(path), "-o", "net.o"], check=True, cwd=tmp_path)
    sections = subprocess.run(
        ["size", "net.o"], check=True, cwd=tmp_path, capture_output=True, text=True
    ).stdout
    text, data, bss = map(int, sections.splitlines()[1].split()[:3])
    told = memory_needed(write(subject))
    assert told["flash_bytes"] < text + data <= 32 * 1024
    assert told["ram_bytes"] <= bss <= 24 * 1024


@needs_gcc
@pytest.mark.slow
def test_bytes_read_mnist_as_well_as_floats(tmp_path: Path) -> None:
    import os

    from cnncli.data.load import load_dataset

    folder = os.environ.get("CNNCLI_TEST_MNIST")
    if not folder:
        pytest.skip("CNNCLI_TEST_MNIST does not name the folder with MNIST")
    dataset, model = load_dataset("mnist", folder), load_model("bundled")
    right = {}
    for dtype in ("float32", "int8"):
        subject = as_type(make_subject(["flatten", {"linear": 10}]), dtype)
        subject = type(subject)(model, "net", subject.options, Path(folder))
        logits = run_compiled(
            subject, Images(dataset.test.images, ""), tmp_path, (*STRICT, "-O3", "-march=native")
        )
        right[dtype] = (logits.argmax(axis=1) == dataset.test.labels).mean()
    assert right["float32"] > 0.99
    assert right["int8"] >= right["float32"] - 0.001


def test_all_names_begin_with_that_of_the_file() -> None:
    subject = make_subject(EVERY_LAYER)
    for dtype in ("float32", "int8"):
        files = write(type(subject)(subject.model, "3 digits-x", as_type(subject, dtype).options))
        for text in files.values():
            code = re.sub(r'/\*.*?\*/|".*?"', "", text.decode(), flags=re.S)
            defined = re.findall(r"^(?:static )?(?:const )?\w[\w ]* \*?(?:const )?(\w+)[\[(]", code, re.M)
            defined += re.findall(r"^# ?define (\w+)", code, re.M)
            assert len(defined) > 5
            assert all(name.lower().startswith("net_3_digits_x_") for name in defined), defined


def test_no_two_arrays_of_one_operation_share_memory() -> None:
    for make in NETWORKS.values():
        subject = make()
        write(subject)
        plan = plan_of(subject)
        for operation in plan.operations:
            target, source = operation.target, operation.source
            for array in filter(None, (target, source)):
                assert array.offset is None or 0 <= array.offset <= plan.memory - array.size
            if source is not None and target.offset is not None:
                assert (
                    source.offset + source.size <= target.offset
                    or target.offset + target.size <= source.offset
                )


@needs_gcc
@pytest.mark.parametrize("threshold", [None, 2.0])
def test_answers_and_probabilities_are_those_of_the_calibrated_network(
    threshold: float | None, tmp_path: Path
) -> None:
    calibration = {"temperature": 0.5, "unknown_threshold": threshold}
    subject = make_subject(["flatten", {"linear": 3}], (1, 2, 2), 3, calibration=calibration)
    write_files(subject, tmp_path)
    (tmp_path / "main.c").write_text(
        """
        #include <stdio.h>
        #include "net.h"
        int main(void)
        {
            float values[NET_CLASSES] = {1.0f, 3.0f, 2.0f}, close[NET_CLASSES] = {1.0f, 1.0f, 1.5f};
            printf("%d %d ", net_answer(values), net_answer(close));
            net_softmax(values);
            printf("%.6f %.6f %.6f", values[0], values[1], values[2]);
            return 0;
        }
        """
    )
    subprocess.run(["gcc", *STRICT, "main.c", "net.c", "-lm", "-o", "main"], check=True, cwd=tmp_path)
    printed = subprocess.run([tmp_path / "main"], check=True, capture_output=True, text=True).stdout.split()
    # 3 is 1 above the mean of 1, 3 and 2
    assert printed[:2] == (["1", "2"] if threshold is None else ["-1", "-1"])
    expected = np.exp(np.array([1, 3, 2]) / 0.5)
    np.testing.assert_allclose(np.array(printed[2:], float), expected / expected.sum(), atol=2e-6)


@needs_gcc
def test_names_of_classes_with_any_letters_compile(tmp_path: Path) -> None:
    names = ('say "x"', "what??/", "a\\b */", "日本é1")
    subject = make_subject(["flatten", {"linear": 4}], (1, 2, 2), 4)
    object.__setattr__(subject.model, "classes", names)
    object.__setattr__(subject.model, "name", "run */ ??/\n")
    write_files(subject, tmp_path)
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "net.h"\nint main(void) { int k; for (k = 0; k < NET_CLASSES; k++) '
        "puts(net_class_names[k]); return 0; }\n"
    )
    subprocess.run(["gcc", *STRICT, "main.c", "net.c", "-lm", "-o", "main"], check=True, cwd=tmp_path)
    printed = subprocess.run([tmp_path / "main"], check=True, capture_output=True).stdout.decode()
    assert printed.splitlines() == list(names)


def test_a_number_is_written_with_every_bit() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 1 << 32, 2000, dtype=np.uint32).view(np.float32)
    for value in [*bits[np.isfinite(bits)], np.float32(0), np.float32(-1e-45), np.float32(3.4028235e38)]:
        text = number(float(value))
        assert text.endswith("f") and set(text) & set(".e")
        assert np.float32(text[:-1]) == value
    assert string("7") == '"7"'


def test_sums_that_may_not_fit_into_32_bits_are_refused() -> None:
    subject = as_type(make_subject(["flatten", {"linear": 2}], (1, 260, 260), 2), "int8")
    with pytest.raises(UsageError, match="linear1 adds up 67,600 products"):
        write(subject)


def test_a_name_that_no_include_can_hold_is_refused() -> None:
    subject = make_subject(["flatten", {"linear": 10}])
    with pytest.raises(UsageError, match="cannot be the name of a C file"):
        write(type(subject)(subject.model, 'a"b'))


@needs_gcc
def test_a_program_that_computes_something_else_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    functions = compiling.Path.read_text

    for name, wrong in (
        ("int8.c", ("+ offset", "- offset")),
        ("float32.c", ("result[c] /=", "result[c] *=")),
    ):

        def changed(
            self: Path, *args: object, name: str = name, wrong: tuple[str, str] = wrong, **options: object
        ) -> str:
            text = functions(self, *args, **options)
            return text.replace(*wrong) if self.name == name else text

        from cnncli.export.c import source

        source._functions.cache_clear()
        monkeypatch.setattr(Path, "read_text", changed)
        subject = as_type(make_subject(MEANS, classes=5), "int8" if name == "int8.c" else "float32")
        with pytest.raises(CnnError, match="logits"):
            export_model(subject.model, "c", "out.c", options=subject.options)
        assert not list(tmp_path.iterdir())
        monkeypatch.setattr(Path, "read_text", functions)
    source._functions.cache_clear()


def test_without_a_compiler_the_files_are_written_and_the_reason_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    compiling.find_compiler.cache_clear()
    exported = export_model(load_model("bundled"), "c", "out.c")
    compiling.find_compiler.cache_clear()
    assert exported.comparison is None
    assert exported.not_compared == "no C compiler is on the PATH (cc, gcc, clang)"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.c", "out.h"]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_the_message_of_a_compiler_is_shown(tmp_path: Path) -> None:
    (tmp_path / "net.h").write_text("#define NET_PIXELS 1\n#define NET_CLASSES 1\n")
    (tmp_path / "net.c").write_text("this is no C\n")
    with pytest.raises(CnnError, match=r"(?s)ended with code 1.*error"):
        run_program(tmp_path / "net.c", np.zeros((1, 1), np.uint8), 1)
