"""What users type: every module beside `main` is one command of `tapeline`."""
