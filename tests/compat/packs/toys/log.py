"""What ran, for tests to look at."""

RAN = []
