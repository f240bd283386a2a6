"""The commands, a module each: `command` is the function, `EXAMPLES` ends its help."""
