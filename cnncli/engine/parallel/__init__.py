"""Shards of a batch on several workers."""
