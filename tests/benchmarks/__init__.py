"""Benchmarks: each prints JSON lines. Tests never assert wall-clock times; these measure them."""
