"""Trains a network, evaluates it, and uses it.

`prepare` builds all parts from a config. `fit` is the training loop, and `state` what it has reached. `session` runs it
inside a run folder, with `saving` for its checkpoints and `results` for its end. `model` loads a trained network.
`evaluate` and `predict` use it.
"""
