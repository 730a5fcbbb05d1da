"""Fetching published data sets, and judging the files that are there."""
