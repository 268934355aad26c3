"""How much the property tests try; ``pytest --hypothesis-profile=long`` is a hundred times that."""

from hypothesis import settings

settings.register_profile('suite', max_examples=60, deadline=None, derandomize=True)
settings.register_profile('long', max_examples=6000, deadline=None, print_blob=True)
settings.load_profile('suite')
