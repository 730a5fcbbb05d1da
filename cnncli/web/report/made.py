"""Says how a run was made, and how to make it again."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from cnncli.web.report.collect import Findings


def duration(seconds: float) -> str:
    """Return a time in its largest units.

    Example:
        >>> duration(75), duration(3.2), duration(4000)
        ('1 min 15 s', '3.2 s', '1 h 6 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def facts(found: Findings) -> Iterator[tuple[str, str]]:
    """Yield how the run was made; without what tells who made it: host, folders, user."""
    info, meta = found.info, found.model.meta
    yield "status", str(info.get("status", "a checkpoint without its run"))
    if created := info.get("created"):
        yield "started", str(created)[:16].replace("T", " ") + " UTC"
    if isinstance(config := info.get("config"), str):
        yield "config", PurePath(config).name
    yield "data set", str(info.get("dataset") or meta.get("dataset", "unknown"))
    counts = [("train_images", "training"), ("validation_images", "validation"), ("test_images", "test")]
    if images := [f"{info[key]:,} {name}" for key, name in counts if isinstance(info.get(key), int)]:
        yield "images", ", ".join(images)
    yield "seed", str(info.get("seed", meta.get("seed", "unknown")))
    if isinstance(speed := info.get("images_per_second"), int | float):
        yield "speed", f"{speed:,.0f} images per second"
    if cores := info.get("cpus_usable") or info.get("cpu_count"):
        yield "processor", f"{info.get('machine', '')}, {cores} core{'s' if cores != 1 else ''}".lstrip(", ")
    if platform := info.get("platform"):
        yield "system", str(platform)
    versions = [("cnncli", "cnn"), ("python", "Python"), ("numpy", "NumPy"), ("blas", "BLAS")]
    if named := [f"{name} {info[key]}" for key, name in versions if info.get(key)]:
        yield "versions", ", ".join(named)
    if commit := info.get("git_commit"):
        yield "git commit", str(commit)
    if sha := info.get("weights_sha256"):
        yield "SHA-256 of the weights", str(sha)


def repeat(found: Findings) -> dict[str, str]:
    """Return the names that the commands to repeat a run need, as a shell takes them; empty where there is no run.

    `name` is that of the run or the checkpoint file, `config` its config in its folder, `file` a name for a copy of
    that config, and `arguments` are those that it was trained with.
    """
    if found.run is None:
        name = found.model.name if found.model.is_bundled else found.model.path.name
        return {"name": shlex.quote(name), "config": "", "file": "", "arguments": ""}
    return {
        "name": shlex.quote(found.run.name),
        "config": shlex.quote(str(Path("runs") / found.run.name / "config.yaml")),
        "file": shlex.quote(f"{found.run.name}.yaml"),
        "arguments": shlex.join(_command(found)[1:]),
    }


def _command(found: Findings) -> Sequence[str]:
    """Return the command line of the training, without the folders of whoever ran it."""
    line = found.info.get("command_line")
    if not isinstance(line, list) or not all(isinstance(part, str) for part in line):
        return []
    return [PurePath(part).name if PurePath(part).is_absolute() else part for part in line]
