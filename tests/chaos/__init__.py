"""
What the gateway does when what it stands on breaks: long runs of real processes, each ending in figures.

`make chaos` runs them and writes the table of the README; no figure there is written by hand.
"""
