"""The update of the parameters: optimizers, learning-rate schedules, gradient clipping, weight averaging."""

from cnncli.optim.averaging import AVERAGES, Average, ExponentialAverage, StochasticAverage, make_average
from cnncli.optim.clipping import clip_gradients
from cnncli.optim.optimizers import OPTIMIZERS, SGD, Adam, AdamW, Optimizer, make_optimizer
from cnncli.optim.schedules import SCHEDULES, Schedule, make_schedule

__all__ = [
    "AVERAGES",
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "Adam",
    "AdamW",
    "Average",
    "ExponentialAverage",
    "Optimizer",
    "Schedule",
    "StochasticAverage",
    "clip_gradients",
    "make_average",
    "make_optimizer",
    "make_schedule",
]
