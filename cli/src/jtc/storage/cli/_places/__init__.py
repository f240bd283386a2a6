"""Places on the command line, what is there, and what goes where."""
