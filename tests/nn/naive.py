"""Each layer written as loops over single numbers: the slow oracles of the vectorized layers.

Every function takes plain arrays and returns the output and the gradients: y, dx and, where there are any,
those of the parameters by name. A backward loop visits what its forward loop visited, and gives each number
it read the share it had in the output.
"""

import math
from itertools import product
from typing import Any

import numpy as np

Gradients = dict[str, np.ndarray]


def positions(*lengths: int) -> Any:
    """Every tuple of indices."""
    return product(*(range(length) for length in lengths))


def output_length(length: int, kernel: int, stride: int, before: int, after: int) -> int:
    """Count the windows by sliding one along."""
    count = 0
    start = -before
    while start + kernel <= length + after:
        count += 1
        start += stride
    return count


def same(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """The smallest padding that gives a window for every stride-th pixel. If odd, the extra pixel is at the end."""
    outputs = math.ceil(length / stride)
    total = 0
    while output_length(length, kernel, stride, 0, total) < outputs:
        total += 1
    return total // 2, total - total // 2


def pads(padding: Any, image: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]) -> Any:
    """((top, bottom), (left, right)) of a padding in a config."""
    if padding == "same":
        return tuple(same(image[d], kernel[d], stride[d]) for d in (0, 1))
    if padding == "valid":
        return (0, 0), (0, 0)
    vertical, horizontal = padding if isinstance(padding, tuple) else (padding, padding)
    return both(vertical), both(horizontal)


def ceiled(length: int, kernel: int, stride: int, sides: tuple[int, int]) -> tuple[int, int]:
    """The padding with which every window fits that begins before the padding at the end, and is needed."""
    before, after = sides
    longer = after
    while True:
        start = (output_length(length, kernel, stride, before, longer) - 1) * stride
        if start + kernel >= before + length + after or start + stride >= before + length:
            return before, longer
        longer += 1


def both(value: Any) -> tuple[int, int]:
    """One number for both directions, or a pair."""
    return value if isinstance(value, tuple) else (value, value)


def conv(
    x: np.ndarray, dy: np.ndarray | None, weight: np.ndarray, bias: np.ndarray, options: dict[str, Any]
) -> Any:
    """Cross-correlation, pixel by pixel. Pixels outside the image are zero, so the loops skip them."""
    N, _, H, W = x.shape
    F, C, KH, KW = weight.shape  # C: the channels of a group
    SH, SW = both(options.get("stride", 1))
    DH, DW = both(options.get("dilation", 1))
    spans = (KH - 1) * DH + 1, (KW - 1) * DW + 1
    (top, bottom), (left, right) = pads(options.get("padding", 0), (H, W), spans, (SH, SW))
    OH, OW = output_length(H, spans[0], SH, top, bottom), output_length(W, spans[1], SW, left, right)
    filters_per_group = F // options.get("groups", 1)
    y = np.zeros((N, F, OH, OW))
    dx, dweight, dbias = np.zeros_like(x), np.zeros_like(weight), np.zeros_like(bias)
    for n, f, a, b in positions(N, F, OH, OW):
        y[n, f, a, b] = bias[f]
        dbias[f] += dy[n, f, a, b]
        for c, i, j in positions(C, KH, KW):
            row, column = a * SH + i * DH - top, b * SW + j * DW - left
            k = f // filters_per_group * C + c
            if 0 <= row < H and 0 <= column < W:
                y[n, f, a, b] += weight[f, c, i, j] * x[n, k, row, column]
                dweight[f, c, i, j] += dy[n, f, a, b] * x[n, k, row, column]
                dx[n, k, row, column] += dy[n, f, a, b] * weight[f, c, i, j]
    return y, dx, {"weight": dweight, "bias": dbias}


def pool(x: np.ndarray, dy: np.ndarray, options: dict[str, Any], kind: str) -> Any:
    """Maximum or average pooling, window by window."""
    N, C, H, W = x.shape
    KH, KW = both(options.get("size", options.get("_")))
    SH, SW = both(options.get("stride", (KH, KW)))
    (top, bottom), (left, right) = own = pads(options.get("padding", 0), (H, W), (KH, KW), (SH, SW))
    if not options.get("count_include_pad", True):
        own = (0, 0), (0, 0)
    if options.get("ceil_mode"):
        top, bottom = ceiled(H, KH, SH, (top, bottom))
        left, right = ceiled(W, KW, SW, (left, right))
    OH, OW = output_length(H, KH, SH, top, bottom), output_length(W, KW, SW, left, right)
    y, dx = np.zeros((N, C, OH, OW)), np.zeros_like(x)
    for n, c, a, b in positions(N, C, OH, OW):
        inside = [
            (n, c, a * SH + i - top, b * SW + j - left)
            for i, j in positions(KH, KW)
            if 0 <= a * SH + i - top < H and 0 <= b * SW + j - left < W
        ]
        if kind == "maxpool":
            winner = inside[0]
            for place in inside:
                if x[place] > x[winner]:
                    winner = place
            y[n, c, a, b] = x[winner]
            dx[winner] += dy[n, c, a, b]
        else:
            count = sum(
                -own[0][0] <= a * SH + i - top < H + own[0][1]
                and -own[1][0] <= b * SW + j - left < W + own[1][1]
                for i, j in positions(KH, KW)
            )
            for place in inside:
                y[n, c, a, b] += x[place] / count
                dx[place] += dy[n, c, a, b] / count
    return y, dx, {}


def global_average(x: np.ndarray, dy: np.ndarray) -> Any:
    """The mean of each channel."""
    N, C, H, W = x.shape
    y, dx = np.zeros((N, C)), np.zeros_like(x)
    for n, c, a, b in positions(N, C, H, W):
        y[n, c] += x[n, c, a, b] / (H * W)
        dx[n, c, a, b] = dy[n, c] / (H * W)
    return y, dx, {}


def linear(x: np.ndarray, dy: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> Any:
    """Every output depends on every input."""
    y, dx = np.zeros(dy.shape), np.zeros_like(x)
    dweight, dbias = np.zeros_like(weight), np.zeros_like(bias)
    for n, o in positions(*dy.shape):
        y[n, o] = bias[o]
        dbias[o] += dy[n, o]
        for i in range(x.shape[1]):
            y[n, o] += weight[o, i] * x[n, i]
            dweight[o, i] += dy[n, o] * x[n, i]
            dx[n, i] += dy[n, o] * weight[o, i]
    return y, dx, {"weight": dweight, "bias": dbias}


def flatten(x: np.ndarray, dy: np.ndarray) -> Any:
    """Row-major order, counted by hand."""
    y, dx = np.zeros(dy.shape), np.zeros_like(x)
    for n in range(len(x)):
        for column, place in enumerate(positions(*x.shape[1:])):
            y[n, column] = x[(n, *place)]
            dx[(n, *place)] = dy[n, column]
    return y, dx, {}


def elementwise(x: np.ndarray, dy: np.ndarray, kind: str, slope: float) -> Any:
    """y and dy/dx of one number at a time."""
    y, dx = np.zeros_like(x), np.zeros_like(x)
    for place in positions(*x.shape):
        v = float(x[place])
        if kind == "relu":
            y[place], derivative = (v, 1.0) if v > 0 else (0.0, 0.0)
        elif kind == "leaky_relu":
            y[place], derivative = (v, 1.0) if v > 0 else (slope * v, slope)
        elif kind == "tanh":
            y[place], derivative = math.tanh(v), 1 / math.cosh(v) ** 2
        elif kind == "silu":
            share = 1 / (1 + math.exp(-v))
            y[place], derivative = v * share, share + v * math.exp(-v) / (1 + math.exp(-v)) ** 2
        elif kind == "gelu":
            share = (1 + math.erf(v / math.sqrt(2))) / 2
            y[place], derivative = v * share, share + v * math.exp(-(v**2) / 2) / math.sqrt(2 * math.pi)
        elif kind == "gelu_tanh":
            inner = math.sqrt(2 / math.pi) * (v + 0.044715 * v**3)
            dinner = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * v**2)
            y[place] = v / 2 * (1 + math.tanh(inner))
            derivative = (1 + math.tanh(inner)) / 2 + v / 2 * dinner / math.cosh(inner) ** 2
        else:
            y[place] = 1 / (1 + math.exp(-v))
            derivative = math.exp(-v) / (1 + math.exp(-v)) ** 2
        dx[place] = dy[place] * derivative
    return y, dx, {}


def prelu(x: np.ndarray, dy: np.ndarray, weight: np.ndarray) -> Any:
    """A slope of each channel, or one for all, that is learned."""
    y, dx, dweight = np.zeros_like(x), np.zeros_like(x), np.zeros_like(weight)
    for place in positions(*x.shape):
        k = place[1] if len(weight) > 1 else 0
        if x[place] > 0:
            y[place], dx[place] = x[place], dy[place]
        else:
            y[place], dx[place] = weight[k] * x[place], weight[k] * dy[place]
            dweight[k] += dy[place] * x[place]
    return y, dx, {"weight": dweight}


def batchnorm(
    x: np.ndarray,
    dy: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    eps: float,
    running: tuple[np.ndarray, np.ndarray] | None,
) -> Any:
    """One channel at a time. With `running` (mean, variance) it is the inference mode.

    The gradient is the chain rule through mean and variance written out, number by number: how each
    normalized number changes with each input of its channel.
    """
    C = x.shape[1]
    y, dx, dgamma, dbeta = np.zeros_like(x), np.zeros_like(x), np.zeros_like(gamma), np.zeros_like(beta)
    for c in range(C):
        places = [(n, c, *rest) for n, *rest in positions(len(x), *x.shape[2:])]
        M = len(places)
        if running is None:
            mean = sum(x[p] for p in places) / M
            variance = sum((x[p] - mean) ** 2 for p in places) / M
        else:
            mean, variance = running[0][c], running[1][c]
        std = math.sqrt(variance + eps)
        for p in places:
            normal = (x[p] - mean) / std
            y[p] = gamma[c] * normal + beta[c]
            dgamma[c] += dy[p] * normal
            dbeta[c] += dy[p]
            if running is not None:
                dx[p] = dy[p] * gamma[c] / std
                continue
            for q in places:  # d normal[p] / d x[q]
                dmean, dvariance = 1 / M, 2 * (x[q] - mean) / M
                dnormal = (float(p == q) - dmean) / std - (x[p] - mean) * dvariance / (2 * std**3)
                dx[q] += dy[p] * gamma[c] * dnormal
    return y, dx, {"gamma": dgamma, "beta": dbeta}


def cross_entropy(logits: np.ndarray, labels: np.ndarray, smoothing: float) -> tuple[float, np.ndarray]:
    """−log of the probability of each label, sample by sample. math.fsum avoids rounding errors."""
    N, K = logits.shape
    loss, dlogits = 0.0, np.zeros_like(logits)
    for n in range(N):
        highest = max(float(z) for z in logits[n])
        total = math.fsum(math.exp(float(z) - highest) for z in logits[n])
        for k in range(K):
            log_probability = float(logits[n, k]) - highest - math.log(total)
            target = smoothing / K + (1 - smoothing) * (k == labels[n])
            loss -= target * log_probability / N
            dlogits[n, k] = (math.exp(log_probability) - target) / N
    return loss, dlogits
