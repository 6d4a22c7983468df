"""FIX sessions: a stream cut into proved messages, a conversation without I/O, and the transport around both."""
