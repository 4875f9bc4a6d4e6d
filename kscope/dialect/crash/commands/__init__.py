"""The crash commands that kscope answers itself, a file each, found by its name.

Each file holds

- ``USAGE`` and ``SUMMARY``: what ``help`` prints,
- ``run(interpreter, line)``: what the command prints, without a newline at its end; ``None`` where
  the options given are left to drgn's crash mode, or the line as drgn takes it. It raises
  ``CommandError`` with crash's message.
"""
