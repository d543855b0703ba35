"""What all local web apps share: who may see a page, the server, the frame of a page, and pictures by their hashes."""
