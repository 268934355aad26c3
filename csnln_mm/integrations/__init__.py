"""The networks in other people's programs: files that they read, and registration with them."""
