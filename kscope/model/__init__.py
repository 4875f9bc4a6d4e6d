"""Queries and results: plain data, one file per subsystem.

A Query is what a screen shows, what is asked of the worker, what the command line's options say
and what is translated into crash and drgn. Its result is frozen and typed, crosses the process
boundary as MessagePack and becomes JSON without further code.
"""
