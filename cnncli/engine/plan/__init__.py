"""The network of one shard as a list of kernels with their memory."""
