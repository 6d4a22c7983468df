"""Who runs the units of a day: processes of this machine, or a Spark cluster."""
