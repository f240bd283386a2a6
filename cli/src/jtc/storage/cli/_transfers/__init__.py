"""Transfers, moves, comparisons and synchronizations that commands run."""
