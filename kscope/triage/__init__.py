"""Findings: the panic's kind, and everything else that is wrong, each with what proves it."""
