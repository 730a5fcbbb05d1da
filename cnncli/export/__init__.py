"""Writes a trained network into files that other programs load: ONNX, safetensors and others."""
