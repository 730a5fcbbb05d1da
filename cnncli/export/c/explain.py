"""Says in the comments of a C program what each layer does."""

import textwrap
from collections.abc import Iterator

from cnncli.export.c.plan import Load, Operation, Pool, Product
from cnncli.export.folded import Activation, ScaleShift


def describe_weights(product: Product) -> str:
    """Return what the weights of a layer are."""
    filters = len(product.weight)
    if product.is_dense:
        return f"{filters} outputs of {product.weight[0].size} inputs each"
    height, width, channels = product.window
    return f"{filters} filters of {height}x{width} pixels, {_count(channels, 'channel')}"


def comment(operation: Operation, changes: list[Activation | ScaleShift]) -> Iterator[str]:
    """Yield what an operation does, as a comment for a reader of the program."""
    source, target = operation.source, operation.target
    match operation:
        case Load():
            text = "The picture."
        case Product(is_dense=True):
            text = f"{operation.name}: a dense layer, {describe_weights(operation)}."
        case Product():
            down, right = operation.stride
            apart = (
                ""
                if (down, right) == (1, 1)
                else f", in steps of {_count(down, 'pixel')} down and {right} to the right"
            )
            text = f"{operation.name}: a convolution, {describe_weights(operation)}{apart}."
        case Pool():
            kind = "largest value" if operation.function == "max" else "mean"
            where = (
                "the whole image"
                if operation.is_global
                else f"windows of {operation.size[0]}x{operation.size[1]} pixels"
            )
            text = f"{operation.name}: the {kind} of {where}, for each channel."
        case _:
            text = "The logits, one channel after the other."
    if isinstance(operation, Product) and operation.activation:
        text += f" {operation.activation} is in it."
    if changes:
        text += f" Then {', '.join(step.name for step in changes)}, in place."
    if source is not None and not isinstance(operation, Load):
        before = source.size if isinstance(operation, Product) and operation.is_dense else source.shape
        text += f" {describe_shape(before)} -> {describe_shape(target.shape)}."
    if sum(map(sum, target.pads)):
        (top, bottom), (left, right) = target.pads
        text += f" Around it there are zeros: {top} above, {bottom} below, {left} left, {right} right."
    wrapped = textwrap.fill(text, 112, initial_indent="    /* ", subsequent_indent="       ")
    yield f"\n{wrapped} */"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def describe_shape(shape: tuple[int, ...] | int) -> str:
    if isinstance(shape, int):
        return f"{shape} numbers"
    height, width, channels = shape
    if height == width == 1:
        return f"{channels} numbers"
    return f"{height}x{width}x{channels}"
