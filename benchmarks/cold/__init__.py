"""The cold path measured: a synthetic day, its post-process at several sizes, and what reading the tables costs."""
