"""Session, in-loop validation and what the pipeline says where an optional package is missing."""
