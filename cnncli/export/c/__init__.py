"""Writes a trained network as one C99 file and a header, for microcontrollers and programs without Python."""
