"""The gRPC contract of the raw stream; its versions are generated from `proto/`."""
