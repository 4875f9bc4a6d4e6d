"""The dashboard's screens, one file each; each asks the session and lays out results."""
