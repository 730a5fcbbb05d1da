"""Writes a network as a safetensors file, with the names and layouts of PyTorch; docs/interop.md loads it."""

import json
from pathlib import Path

from cnncli.checkpoint.safetensors import to_safetensors
from cnncli.checkpoint.torch_names import torch_name, with_own_names
from cnncli.export.images import Images
from cnncli.export.npz import answers_with
from cnncli.export.subject import Subject
from cnncli.types import FloatArray


def write(subject: Subject) -> dict[str, bytes]:
    """Return the content of the file."""
    facts = subject.facts()
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in facts.items()}
    arrays = {torch_name(name): array for name, array in subject.weights().items()}
    return {".safetensors": to_safetensors(arrays, {"format": "pt", **texts})}


def answers(path: Path, subject: Subject, images: Images) -> FloatArray:
    """Return the logits of the network with the arrays that the safetensors package reads from the file."""
    from safetensors.numpy import load_file

    found = with_own_names(load_file(path), subject.weights())
    return answers_with(found, subject, images)
