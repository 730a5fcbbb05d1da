"""Writes the calls and constants of a program that computes with bytes."""

from cnncli.export.c.calls import Body, geometry, inside, place, pool_geometry, rows_of, slope_of
from cnncli.export.c.constants import number
from cnncli.export.c.explain import comment, describe_weights
from cnncli.export.c.plan import Array, Load, Pool, Product
from cnncli.export.c.quantize import ByteOperation, BytePlan, Change
from cnncli.export.c.write_floats import write_float_changes


def write_bytes(plan: BytePlan, body: Body) -> None:
    for each in plan.operations:
        operation, level = each.operation, each.target
        source, target = operation.source, operation.target
        body.calls += comment(operation, operation.changes)
        if sum(map(sum, target.pads)):
            assert each.last is not None
            body.call(
                "zeros", (f"{place(target, 0)}, {target.size}, {each.last.zero}", "bytes, what is zero")
            )
        match operation:
            case Load():
                rows = f"{target.height}, {target.width * target.channels}"
                body.call(
                    "load",
                    (
                        f"pixels, {inside(target)}, {target.row}, {rows}",
                        "from, to, length of its rows, rows, count",
                    ),
                )
            case Product():
                _write_byte_product(each, operation, body)
            case Pool(function="max"):
                assert source is not None
                body.call(
                    "maxpool",
                    (f"{place(source, 0)}, {source.height}, {source.width}", "from, height, width"),
                    (f"{inside(target)}, {target.row}", "to, length of its rows"),
                    *pool_geometry(operation),
                )
            case Pool():
                assert source is not None and each.source is not None
                factors = f"{number(float(each.scale[0]))}, {number(float(each.bias[0]))}"
                size = (
                    f"{place(source, 0)}, {source.height}, {source.width}, {each.source.zero}",
                    "from, height, width, what is zero",
                )
                if level is None:
                    body.call(
                        "mean_logits",
                        size,
                        "logits",
                        (f"{factors}, {source.channels}", "scale, shift, channels"),
                    )
                else:
                    body.call(
                        "meanpool",
                        size,
                        (
                            f"{inside(target)}, {target.row}, {number(level.zero + 0.5)}",
                            "to, its rows, offset",
                        ),
                        (factors, "scale, shift"),
                        *pool_geometry(operation),
                    )
            case _:
                assert source is not None and each.source is not None
                pixels = source.height * source.width
                scale, zero, rest = each.source
                body.call(
                    "store",
                    f"{place(source, 0)}, {zero}, logits, {number(scale)}, {number(rest)}",
                    f"{pixels}, {source.channels}",
                )
        for change in each.changes:
            _write_byte_change(change, target, body)
        if level is None:
            write_float_changes(operation.changes, target, body)


def _write_byte_product(each: ByteOperation, product: Product, body: Body) -> None:
    source, target, name = product.source, product.target, product.name
    assert source is not None and each.source is not None
    weight = body.constant(f"{name}_weight", each.weight, "int8", f"{name}: {describe_weights(product)}")
    scale = body.constant(
        f"{name}_scale", each.scale, "float32", f"{name}: what a step of a sum is worth, per filter"
    )
    bias = body.constant(f"{name}_bias", each.bias, "float32")
    zero, slope = each.source.zero, slope_of(product)
    if each.target is None:
        body.call(
            "dense_logits",
            (f"{place(source, 0)}, {zero}, logits", "from, what is zero, to"),
            f"{weight}, {scale}, {bias}",
            (f"{source.size}, {target.channels}", "inputs, outputs"),
            slope,
        )
        return
    body.window = max(body.window, product.weight[0].size)
    row = source.size if product.is_dense else source.row
    body.call(
        "conv",
        (f"{place(source, 0)}, {row}, {zero}", "from, length of its rows, what is zero"),
        (
            f"{inside(target)}, {target.row}, {number(each.target.zero + 0.5)}",
            "to, length of its rows, offset",
        ),
        f"{weight}, {scale}, {bias}",
        *geometry(product),
        slope,
    )


def _write_byte_change(change: Change, target: Array, body: Body) -> None:
    where, name = f"{inside(target)}, {rows_of(target)}", change.step.name
    if change.table is not None:
        table = body.constant(f"{name}_table", change.table, "uint8", f"{name}: the result for each byte")
        body.call("table", where, table)
        return
    scale = body.constant(f"{name}_scale", change.scale, "float32", f"{name}, as a scale and a shift")
    shift = body.constant(f"{name}_shift", change.shift, "float32")
    body.call(
        "scale_shift_bytes",
        f"{where}, {change.source.zero}, {number(change.target.zero + 0.5)}",
        f"{scale}, {shift}, {len(change.scale)}",
    )
