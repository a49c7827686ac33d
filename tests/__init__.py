"""A package, as a library we build on installs a `tests` of its own."""
