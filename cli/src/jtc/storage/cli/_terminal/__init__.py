"""What the program writes and asks: lines, tables, bars, questions."""
