"""How long kscope takes, against crash and drgn's crash mode on the same dump in the same run.

``make bench`` prints a table. Absolute times depend on the machine; the ratios much less so.
"""
