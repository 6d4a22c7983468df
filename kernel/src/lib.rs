//! What Tapeline does once per message: route, normalise, encode; bytes in, bytes out.
