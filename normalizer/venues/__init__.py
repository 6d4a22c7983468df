"""What each venue's messages mean: one file a venue, data only; the folder is the registry."""
