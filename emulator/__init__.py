"""Any venue, simulated: replays captures, synthesises load, misbehaves on command."""
