"""Trains a network, evaluates it, and uses it.

`choose` picks the config when the user names none. `prepare` builds all parts from a config. `fit` is the training
loop, and `state` what it has reached. `session` runs it inside a run folder, with `saving` for its checkpoints and
`results` for its end; `dry_run` does so for a few batches. `lookup` finds what a user names, and `model` loads a
trained network. `evaluate`, `ensemble` and `predict` use it.
"""
