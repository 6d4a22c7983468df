"""The session halves: how to talk to each venue, as data. The folder is the registry."""
