"""What the made exchanges say, a module for each."""
