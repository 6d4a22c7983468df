"""What Tapeline does once per message, in Rust: route, normalise, encode."""
