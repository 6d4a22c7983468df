"""What all rooms agree on, and the face that users see: consumer SDK and command line."""
