"""Measures Tapeline on this machine, against its aims; `make bench`."""
