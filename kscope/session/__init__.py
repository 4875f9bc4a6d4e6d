"""The session service: a worker process that owns the target, and the client that asks it.

drgn holds the GIL for up to half a second, parses untrusted files in C, and is only interruptible
in a process's main thread: so it runs in a process of its own, and the dashboard never stalls.
"""
