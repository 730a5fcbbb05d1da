"""Writes the calls and constants of a program that computes with floats."""

from cnncli.export.c.calls import Body, geometry, inside, place, pool_geometry, rows_of, slope_of
from cnncli.export.c.constants import in_groups, number
from cnncli.export.c.explain import comment, describe_weights
from cnncli.export.c.plan import Array, Load, Plan, Pool, Product
from cnncli.export.folded import Activation, ScaleShift


def write_floats(plan: Plan, body: Body) -> None:
    for operation in plan.operations:
        source, target, name = operation.source, operation.target, operation.name
        body.calls += comment(operation, operation.changes)
        if sum(map(sum, target.pads)):
            body.call("zeros", (f"{place(target, 0)}, {target.size}", "numbers"))
        match operation:
            case Load():
                rows = f"{target.height}, {target.width * target.channels}"
                body.call(
                    "load",
                    (
                        f"pixels, {inside(target)}, {target.row}, {rows}",
                        "from, to, length of its rows, rows, count",
                    ),
                    (f"{number(operation.scale)}, {number(operation.shift)}", "pixel * scale + shift"),
                )
            case Product():
                weight = body.constant(
                    f"{name}_weight",
                    in_groups(operation.weight.reshape(len(operation.weight), -1)),
                    "float32",
                    f"{name}: {describe_weights(operation)}, in groups of 16",
                )
                bias = body.constant(f"{name}_bias", in_groups(operation.bias), "float32")
                assert source is not None
                if operation.is_dense:
                    body.call(
                        "dense",
                        (f"{place(source, 0)}, {inside(target)}, {weight}, {bias}", "from, to, weights"),
                        (f"{source.size}, {target.channels}", "inputs, outputs"),
                        slope_of(operation),
                    )
                else:
                    body.call(
                        "conv",
                        (f"{place(source, 0)}, {source.row}", "from, length of its rows"),
                        (f"{inside(target)}, {target.row}", "to, length of its rows"),
                        f"{weight}, {bias}",
                        *geometry(operation),
                        slope_of(operation),
                    )
            case Pool():
                assert source is not None
                body.call(
                    f"{operation.function}pool",
                    (f"{place(source, 0)}, {source.height}, {source.width}", "from, height, width"),
                    (f"{inside(target)}, {target.row}", "to, length of its rows"),
                    *pool_geometry(operation),
                )
            case _:
                assert source is not None
                pixels = source.height * source.width
                body.call("store", f"{place(source, 0)}, logits, {pixels}, {source.channels}")
        write_float_changes(operation.changes, target, body)


def write_float_changes(changes: list[Activation | ScaleShift], target: Array, body: Body) -> None:
    """Write what changes an array of floats in place."""
    for step in changes:
        where = f"{inside(target)}, {rows_of(target)}"
        if isinstance(step, ScaleShift):
            scale = body.constant(
                f"{step.name}_scale", step.scale, "float32", f"{step.name}, as a scale and a shift"
            )
            shift = body.constant(f"{step.name}_shift", step.shift, "float32")
            body.call("scale_shift", where, f"{scale}, {shift}, {len(step.scale)}")
        elif step.function in ("tanh", "sigmoid"):
            body.call(step.function, where)
        else:
            body.call("rectify", where, number(step.slope))
