"""The command ``doctor``: what is wrong with the disks, and how to put it right."""
