"""SQL over the lake: the tables' definitions for Athena and Glue, and the engines that answer, all from `tapeline.offline.tables`."""
