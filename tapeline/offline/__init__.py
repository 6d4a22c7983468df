"""Work on files instead of streams: the kernel run over captures and raw files, DBN files, the tables of a data directory."""
