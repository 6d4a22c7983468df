"""A FIX acceptor: venues' market data as numbered, proved messages over TCP, strict about what clients send."""
