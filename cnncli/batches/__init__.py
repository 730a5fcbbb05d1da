"""From the images of a data set to the batches of a training run: batches.py, with the augmentations of augment.py."""
