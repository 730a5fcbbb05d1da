"""The normal distribution for arrays, because NumPy has no error function.

Source: Press et al., Numerical Recipes, third edition (2007), section 6.2.2: erfc(z) = t · exp(P(t) − z²) with
t = 2 / (2 + z), where P is so smooth that a short polynomial will do. Here it is interpolated from `math.erfc`.
"""

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnncli.types import FloatArray

if TYPE_CHECKING:
    from numpy.polynomial import Chebyshev

FARTHEST = 6.0
"""For a larger z, erfc(z) is nothing beside 1, in float64 too."""


@cache
def erfc_exponent(degree: int) -> "Chebyshev":
    """Return P(t) for z from 0 to 6. The degree 20 is right to the last bits of float64, 8 to those of float32."""
    from numpy.polynomial import Chebyshev

    def exponent(t: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
        return np.array([math.log(math.erfc(2 / s - 2) / s) + (2 / s - 2) ** 2 for s in t.tolist()])

    return Chebyshev.interpolate(exponent, degree, domain=[2 / (2 + FARTHEST), 1])


def normal_cdf(x: FloatArray) -> FloatArray:
    """Return the share of a standard normal distribution that lies below each number: (1 + erf(x / √2)) / 2.

    Example:
        >>> normal_cdf(np.array([-1.0, 0.0, 3.0])).round(6).tolist()
        [0.158655, 0.5, 0.99865]
    """
    z = np.minimum(np.abs(x) * math.sqrt(0.5), FARTHEST)
    t = 2 / (2 + z)
    beyond = t * np.exp(erfc_exponent(20)(t) - z * z) / 2  # the share above |x|
    share: FloatArray = np.where(x < 0, beyond, 1 - beyond)
    return share.astype(x.dtype, copy=False)
