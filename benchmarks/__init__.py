"""Benchmarks: inputs made from a seed, contenders run in turns in one session, medians and ratios printed."""
