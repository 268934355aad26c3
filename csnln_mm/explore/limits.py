"""What the page takes, from one page and from all of them together."""

MIB = 2**20

# Of an image that is taken, unless --max-pixels sets it.
MAX_PIXELS = 4_000_000
# Of a result: so many times the limit for images.
MAX_RESULT_AREA = 16
# Of a request that brings files: more than an image of the limit has, with 16 bits and four
# channels; at least what checkpoints take.
BYTES_PER_PIXEL = 16
MIN_UPLOAD = 64 * MIB
# Of other requests.
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
    """Bytes of one request that brings files."""
    return max(MIN_UPLOAD, BYTES_PER_PIXEL * max_pixels)
