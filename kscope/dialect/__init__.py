"""Queries and results in the languages of others: crash command lines, drgn code, crash's layout.

One file per view, found by its name; each holds

- ``QUERY``: the Query whose fields are the view's options,
- ``equivalent(query)``: the crash command and the drgn code that yield the same,
- ``answered(query, result)``, where the query leaves something to the target: the same, with what
  the result says of it,
- ``text(query, result)``: the result as crash would lay it out.
"""
