"""Who is PRIMARY and who is REPLICA of a provider: leases in Redis, and what a process does while it holds one."""
