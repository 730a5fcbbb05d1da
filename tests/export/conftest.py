"""What the tests of exported networks need of other programs."""

import importlib.util
import os

# without a word Keras asks for TensorFlow, which the tests do not need
os.environ.setdefault("KERAS_BACKEND", "torch" if importlib.util.find_spec("torch") else "numpy")
