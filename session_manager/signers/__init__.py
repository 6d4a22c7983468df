"""Authentication hooks: a module here has `sign(Signing)`, which gives the variables of one connection attempt (`Endpoint.signer`)."""
