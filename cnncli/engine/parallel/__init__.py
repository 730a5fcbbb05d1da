"""Runs the shards of a batch: `caller` in the calling process, `shard` in every worker."""
