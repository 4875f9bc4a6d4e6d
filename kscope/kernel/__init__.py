"""Answers: a target and a Query in, a result out; one file per subsystem, pure reading."""
