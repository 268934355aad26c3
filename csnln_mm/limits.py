"""The limits on files that are read and requests that are accepted, each defined once.

The table in docs/reliability.md says what was tried beyond each, and what happened.
"""

MIB = 2**20

# Images: what Pillow accepts at most, twice its MAX_IMAGE_PIXELS.
IMAGE_PIXELS = 178_956_970
# What reading one takes at its peak; it is compared with the memory that is free, for images of at
# least so many pixels. These are not read while others are worked on either.
IMAGE_BYTES_PER_PIXEL = 27
LARGE_IMAGE_PIXELS = 16_000_000
# Of a JPEG: progressive ones have about ten, and each costs the time of a whole image.
JPEG_SCANS = 100
# Of the processor, for decoding an image: so much, and so much for each million pixels.
DECODING_SECONDS = 10
DECODING_SECONDS_PER_MEGAPIXEL = 1
# What the process of a trial may take besides IMAGE_BYTES_PER_PIXEL.
TRIAL_BYTES = 2**31

# Animations and streams: bytes of results that are kept for frames that come again.
REPEATED_FRAMES_BYTES = 2**28

# TIFF: bytes of a row of strips or tiles, if rows are to take little memory; channels of a
# microscope.
TIFF_SEGMENT_BYTES = 2**28
TIFF_BANDS = 1024

# Checkpoints: the text of a config, how deep it is nested, and sizes in it.
CONFIG_BYTES = MIB
CONFIG_DEPTH = 16
CONFIG_NUMBER = 2**53
NETWORK_SIZE = 4096
# In a pickle: keys that are integers; of an array or tensor the dimensions, and each of them.
PICKLE_KEY = 2**60
PICKLE_DIMENSIONS = 32
PICKLE_NUMBER = 2**63
# Of a JSON file: results, settings.
JSON_BYTES = 16 * MIB

# The page: pixels of an image that is taken, unless --max-pixels sets it; those of a result are so
# many times the limit for images.
PAGE_PIXELS = 4_000_000
PAGE_RESULT_AREA = 16
# Of a request that brings files: more than an image of the limit has, with 16 bits and four
# channels; at least what checkpoints take. Of other requests.
UPLOAD_BYTES_PER_PIXEL = 16
MIN_UPLOAD = 64 * MIB
MAX_REQUEST = MIB
# Of all uploads and results on disk: so many uploads of the largest size.
STORED_UPLOADS = 16
MAX_SESSIONS = 64
# After this many seconds an upload goes that no page opened, and a session whose page shows no sign
# of life.
UNOPENED = 300
SILENT = 60
# How often the server looks.
SWEEP = 5


def max_upload(max_pixels: int) -> int:
    """Bytes of one request that brings files to the page."""
    return max(MIN_UPLOAD, UPLOAD_BYTES_PER_PIXEL * max_pixels)
