"""Makes one stream of PRIMARY and REPLICA, and publishes it as MERGED."""
