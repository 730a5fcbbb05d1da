"""Writes the C program of a network: a header, the functions that it needs, its constants, and one call per layer.

Names begin with `net_` here, and with the name of the program in its files.
"""

import re
from functools import cache
from pathlib import Path

from cnncli.export.c.calls import Body
from cnncli.export.c.constants import number, plain, prefix_of, string
from cnncli.export.c.explain import describe_shape
from cnncli.export.c.plan import Plan
from cnncli.export.c.quantize import BytePlan
from cnncli.export.c.write_bytes import write_bytes
from cnncli.export.c.write_floats import write_floats
from cnncli.export.folded import FoldedNetwork

STACK = 1024
"""Bytes of stack that the functions need, rounded up. A convolution of floats has twice 4 sums of 16 filters there."""


def program(plan: Plan | BytePlan, folded: FoldedNetwork, file_name: str, title: str) -> tuple[str, str]:
    """Return the C file and its header.

    Args:
        plan: in float32 or on bytes.
        folded: the same network, for its classes and what becomes of its logits.
        file_name: of both files, without an ending.
        title: what the network is, for a comment.
    """
    body = Body()
    if isinstance(plan, BytePlan):
        write_bytes(plan, body)
        memory, kind = plan.plan.memory, "uint8_t"
    else:
        write_floats(plan, body)
        memory, kind = plan.memory, "float"
    ram = memory * (1 if kind == "uint8_t" else 4) + 2 * body.window
    arrays = (
        f"/* All arrays between the layers, one after the other and in turns: {memory:,} numbers. */\n"
        f"static {kind} net_memory[{memory}];\n"
    )
    if body.window:
        arrays += (
            "\n/* What the window of a convolution sees, as differences from the byte that stands for zero. */\n"
            f"static int16_t net_window[{body.window}];\n"
        )
    prefix = prefix_of(file_name)
    unknown = folded.unknown_threshold is not None
    common, own = _functions("common.c"), _functions("int8.c" if kind == "uint8_t" else "float32.c")
    numbers = {
        "temperature": number(folded.temperature),
        "threshold": number(folded.unknown_threshold or 0),
    }
    shared = [name for name in common if name in body.used]
    ending = "\n".join(common[name] for name in ("answers", "answer_or_unknown" if unknown else "answer"))
    for name, value in numbers.items():
        ending = ending.replace(f"@{name}@", value)
    parts = [
        common["memory"],
        arrays,
        *(common[name] for name in shared),
        *(own[name] for name in own if name in _with_parts(body.used)),
        *body.constants,
        "void net_logits(const uint8_t *pixels, float *logits)\n{\n"
        + "\n".join(body.calls).lstrip("\n")
        + "\n}\n",
        ending,
    ]
    names = ", ".join(map(string, folded.classes))
    source = [
        head(title, file_name, kind == "uint8_t"),
        f'#include "{file_name}.h"\n\n#include <math.h>\n',
        named("const char *const net_class_names[NET_CLASSES] = {", prefix) + f"{names}}};\n",
        *(named(part, prefix) for part in parts),
    ]
    header = header_text(folded, title, file_name, prefix, body.constant_bytes, ram, kind == "uint8_t")
    return "\n".join(source), header


def named(text: str, prefix: str) -> str:
    """Return a text with the name of the program in place of `net`."""
    return re.sub(r"\bnet_", f"{prefix}_", re.sub(r"\bNET_", f"{prefix.upper()}_", text))


@cache
def _functions(file: str) -> dict[str, str]:
    """Return the text of the functions in one of the C files beside this one, by name."""
    text = (Path(__file__).parent / file).read_text(encoding="utf-8")
    pieces = re.split(r"^/\*\*\* (\w+) \*\*\*/\n", text, flags=re.M)[1:]
    return {name: body.rstrip("\n") + "\n" for name, body in zip(pieces[::2], pieces[1::2], strict=True)}


def _with_parts(used: set[str]) -> set[str]:
    """Return the names of the functions and of those that they call."""
    found = set(used)
    if found & {"meanpool", "mean_logits"}:
        found.add("window_sum")
    if found & {"conv", "meanpool", "scale_shift_bytes"}:
        found.add("to_byte")
    return found


def head(title: str, file_name: str, on_bytes: bool) -> str:
    numbers = (
        "Weights and the numbers between the layers are bytes. A byte stands for (byte - zero) * scale. Products are\n"
        "   added up as whole numbers of 32 bits."
        if on_bytes
        else "All numbers are floats of 32 bits."
    )
    return (
        f"/* {plain(title)}\n\n"
        f"   Written by cnn. It is C99 and needs only math.h. {plain(file_name)}.h says how to use it.\n\n"
        "   An image is stored row by row. A pixel has one number for each channel, next to each other. A layer reads\n"
        "   one part of the memory below and writes another; the calls of all layers are in the function for logits.\n"
        f"   {numbers} */\n"
    )


def header_text(
    folded: FoldedNetwork, title: str, file_name: str, prefix: str, flash: int, ram: int, on_bytes: bool
) -> str:
    channels, height, width = folded.input_shape
    order = (
        "row by row, one for each pixel"
        if channels == 1
        else "row by row, three for each pixel: red, green, blue"
    )
    unknown = (
        "Returns the class with the largest logit, or -1 if the picture is like none of the classes."
        if folded.unknown_threshold is not None
        else "Returns the class with the largest logit."
    )
    text = f"""#ifndef NET_H
#define NET_H

#include <stdint.h>

#define NET_HEIGHT {height}
#define NET_WIDTH {width}
#define NET_CHANNELS {channels}
#define NET_PIXELS {height * width * channels}
#define NET_CLASSES {len(folded.classes)}

/* Bytes of its constants, and of the memory for the numbers between its layers. To these come a few KB of code, and
   {STACK} bytes of stack at most. */
#define NET_FLASH_BYTES {flash}
#define NET_RAM_BYTES {ram}

#ifdef __cplusplus
extern "C" {{
#endif

extern const char *const net_class_names[NET_CLASSES];

/* Computes a number for each class; the largest belongs to the most probable one.
   pixels: NET_PIXELS bytes, 0 is black and 255 is white.
   logits: room for NET_CLASSES numbers.
   The memory between the layers is static: two threads must not call it at the same time. */
void net_logits(const uint8_t *pixels, float *logits);

/* {unknown} */
int net_answer(const float *logits);

/* Turns logits into probabilities, in place. */
void net_softmax(float *logits);

#ifdef __cplusplus
}}
#endif

#endif
"""
    return (
        f"/* {plain(title)}\n\n"
        + named(
            f"""       uint8_t pixels[NET_PIXELS];    {describe_shape((height, width, channels))}
       float values[NET_CLASSES];
       int answer;

       net_logits(pixels, values);
       answer = net_answer(values);
       net_softmax(values);           now values[answer] is the probability

""",
            prefix,
        )
        + f"   The pixels are bytes as in the data set of the training, {order}.\n"
        f"   For MNIST and sets like it that is a bright digit on black. Everything else happens inside.\n\n"
        f"       cc -std=c99 -O2 main.c {plain(file_name)}.c -lm */\n\n" + named(text, prefix)
    )
