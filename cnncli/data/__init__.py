"""Everything between files on a disk and arrays of images and labels."""
