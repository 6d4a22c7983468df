"""The same trades read in several ways: ours and the usual ones, each in a process of its own."""
