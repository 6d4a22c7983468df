"""Nightly: both raw streams of a day become one, as canonical tables and DBN files."""
