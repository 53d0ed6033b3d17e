"""Settings of all tests."""

import os

from hypothesis import settings

# No deadline: the machines are noisy. CI repeats what it does; elsewhere each run tries new input.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
