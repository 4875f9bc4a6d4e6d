"""Answers: a target and a Query in, a result out; one file per subsystem, pure reading.

The files here answer Queries; the folders hold what they are made of, each importing only what
lies below it: ``expression``, ``objects`` and ``processor``, ``process`` and ``waiting``,
``death``, ``machine`` and ``unwinding``, ``access``.
"""
