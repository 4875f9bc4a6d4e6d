"""State of the whole kernel: its clocks, settings, taints and memory counters."""
