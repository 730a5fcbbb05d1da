"""Compiles a network for one shard: layers become nodes, nodes become kernels, and kernels record their calls."""
