"""From a picture of any kind to the 28x28 images that a network reads."""
