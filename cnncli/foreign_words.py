"""The words of Keras and PyTorch for what a config calls otherwise, so that a hint can name ours."""

from collections.abc import Sequence

LAYERS = {
    "dense": "linear",
    "fc": "linear",
    "fullyconnected": "linear",
    "conv2d": "conv",
    "convolution": "conv",
    "convolution2d": "conv",
    "depthwiseconv2d": "write `conv: {groups: CHANNELS, ...}` with as many groups as channels come in",
    "depthwiseconv": "write `conv: {groups: CHANNELS, ...}` with as many groups as channels come in",
    "separableconv2d": "write a conv with groups, and after it a conv with `kernel: 1`",
    "zeropadding2d": "the padding is an option of conv and of the pools: `padding: [[top, bottom], [left, right]]`",
    "maxpool2d": "maxpool",
    "maxpooling": "maxpool",
    "maxpooling2d": "maxpool",
    "avgpool2d": "avgpool",
    "averagepooling2d": "avgpool",
    "globalaveragepooling2d": "globalavgpool",
    "adaptiveavgpool2d": "globalavgpool",
    "batchnormalization": "batchnorm",
    "batchnorm1d": "batchnorm",
    "batchnorm2d": "batchnorm",
    "bn": "batchnorm",
    "dropout2d": "dropout",
    "residualblock": "residual",
    "resblock": "residual",
    "basicblock": "residual",
    "shortcut": "residual",
    "skip": "residual",
    "add": "write the layers between the two ends of the sum as a block: `residual: [...]`",
    "sequential": "the model is a list already; a list with a shortcut around it is `residual: [...]`",
    "swish": "silu",
    "parametricrelu": "prelu",
    "gaussianerrorlinearunit": "gelu",
    "reshape": "flatten",
    "softmax": "softmax belongs to the loss: leave it out",
    "logsoftmax": "softmax belongs to the loss: leave it out",
    "activation": "an activation is a layer of its own: write `- relu`",
    "input": "leave it out: the data set has the shape",
    "inputlayer": "leave it out: the data set has the shape",
}

OPTIONS = {
    "outchannels": "filters",
    "channels": "filters",
    "outfeatures": "units",
    "features": "units",
    "neurons": "units",
    "kernelsize": "kernel size",
    "poolsize": "size",
    "strides": "stride",
    "dilationrate": "dilation",
    "dilations": "dilation",
    "group": "groups",
    "ceil": "ceil_mode",
    "autopad": "padding",
    "pads": "padding",
    "pad": "padding",
    "usebias": "bias",
    "kernelinitializer": "init",
    "p": "rate",
    "prob": "rate",
    "alpha": "slope",
    "alphainitializer": "slope",
    "sharedaxes": "shared",
    "numparameters": "shared",
    "negativeslope": "slope",
    "epsilon": "eps",
    "beta1": "betas",
    "beta2": "betas",
    "decay": "weight_decay",
    "l2": "weight_decay",
    "stepsize": "every",
    "gamma": "factor",
    "etamin": "final",
    "pctstart": "peak_at",
    "angle": "degrees",
    "translate": "shift pixels",
    "scale": "zoom factor",
    "learningrate": "the learning rate is `train.optimizer.lr`",
    "activation": "an activation is a layer of its own: write `- relu` after this one",
    "inchannels": "leave it out: it follows from the layer before",
    "infeatures": "leave it out: it follows from the layer before",
    "inputshape": "leave it out: the data set has the shape",
}

KEYS = {
    "lr": "train.optimizer.lr",
    "learningrate": "train.optimizer.lr",
    "momentum": "train.optimizer.momentum",
    "weightdecay": "train.optimizer.weight_decay",
    "scheduler": "train.schedule",
    "lrscheduler": "train.schedule",
    "warmup": "train.warmup_epochs",
    "maxepochs": "train.epochs",
    "nepochs": "train.epochs",
    "earlystopping": "train.patience",
    "earlystop": "train.patience",
    "ema": "train.average",
    "gradclip": "train.clip_norm",
    "clipnorm": "train.clip_norm",
    "validationsplit": "data.validation",
    "valsplit": "data.validation",
    "augmentation": "data.augment",
    "augmentations": "data.augment",
    "transforms": "data.augment",
    "layers": "model",
    "network": "model",
    "randomstate": "seed",
    "numworkers": "engine.workers",
    "device": "everything runs on the processor: leave it out",
    "loss": "the loss is the cross-entropy: leave it out",
    "metrics": "loss and accuracy are always measured: leave it out",
}

SCHEDULES = {
    "cosineannealing": "cosine",
    "cosineannealinglr": "cosine",
    "cosinedecay": "cosine",
    "cosinus": "cosine",
    "steplr": "step",
    "multistep": "step",
    "exponentiallr": "exponential",
    "exponentialdecay": "exponential",
    "onecyclelr": "one_cycle",
}

AUGMENTATIONS = {
    "hflip": "flip",
    "horizontalflip": "flip",
    "randomhorizontalflip": "flip",
    "colorjitter": "brightness",
    "randombrightness": "brightness",
    "randomcontrast": "contrast",
    "rotation": "rotate",
    "randomrotation": "rotate",
    "translate": "shift",
    "randomtranslation": "shift",
    "scale": "zoom",
    "randomzoom": "zoom",
    "randomaffine": "affine",
    "elastictransform": "elastic",
    "cutout": "erase",
    "randomerasing": "erase",
    "gaussiannoise": "noise",
}

WORDS = {
    "layer": LAYERS,
    "option": OPTIONS,
    "key": KEYS,
    "schedule": SCHEDULES,
    "augmentation": AUGMENTATIONS,
    "average": {"exponentialmovingaverage": "ema"},
}
"""For each kind of name: from a foreign word in small letters without "_" and "-" to ours, or to a sentence.

Where two of our names may be meant, the one that is known in the place comes first.
"""


def bare(word: str) -> str:
    """Return a word as the tables have it: "Max_Pooling2D" -> "maxpooling2d"."""
    return word.lower().replace("_", "").replace("-", "")


def meant(word: str, kind: str, known: Sequence[str]) -> str | None:
    """Return the known name that a foreign word stands for, or None.

    Args:
        word: as the user wrote it.
        kind: a key of WORDS.
        known: the names that are possible here. A word that is one of them but for capitals and "_" is that one.

    Example:
        >>> meant("Conv2D", "layer", ["conv", "linear"])
        'conv'
    """
    same = [name for name in known if bare(name) == bare(word)]
    names = same or [name for name in WORDS.get(kind, {}).get(bare(word), "").split() if name in known]
    return names[0] if names else None


def translated(word: str, kind: str, known: Sequence[str]) -> str | None:
    """Return the hint for a foreign word, or None if it is not in the table.

    Example:
        >>> translated("Softmax", "layer", ["conv", "linear"])
        'softmax belongs to the loss: leave it out'
    """
    if name := meant(word, kind, known):
        return f"did you mean '{name}'?"
    advice = WORDS.get(kind, {}).get(bare(word), "")
    return advice if ":" in advice or "`" in advice else None
