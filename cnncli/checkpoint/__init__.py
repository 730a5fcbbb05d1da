"""Checkpoints: writes are atomic, reading trusts nothing in the file, and no pickle is involved."""

from cnncli.checkpoint.files import (
    FORMAT_VERSION,
    Checkpoint,
    is_checkpoint,
    load_checkpoint,
    load_meta,
    network_hash,
    save_checkpoint,
)

__all__ = [
    "FORMAT_VERSION",
    "Checkpoint",
    "is_checkpoint",
    "load_checkpoint",
    "load_meta",
    "network_hash",
    "save_checkpoint",
]
