"""Kernel stacks: unwound, summed up, and as raw words."""
