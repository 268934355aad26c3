import pytest
import torch

from csnln_mm.upscaling.chopping import chopped_forward


def enlarge(x):
    return x.repeat_interleave(2, -1).repeat_interleave(2, -2)


def recorded(size):
    """Sizes that the network is run on for an image of a size."""
    seen = []
    chopped_forward(lambda x: seen.append(x.shape[-2:]) or enlarge(x), torch.rand(1, 3, *size), 2)
    return seen


@pytest.mark.parametrize('size', [(1, 1), (1, 90), (25, 61), (90, 130)])
@pytest.mark.parametrize('max_pixels', [1, 900])
def test_pieces_join_without_gap_or_shift(size, max_pixels):
    x = torch.rand(2, 3, *size)
    torch.testing.assert_close(
        chopped_forward(enlarge, x, 2, overlap=2, max_pixels=max_pixels), enlarge(x)
    )


def test_the_released_pieces():
    """70 x 91 at scale 2: halves of 35 + 10 and 45 + 10, on to a further multiple of 2."""
    assert recorded((70, 91)) == [(46, 56)] * 4
    assert recorded((20, 20)) == [(20, 20)]  # a piece would be the whole image
    assert max(height * width for height, width in recorded((200, 200))) < 3600


@pytest.mark.parametrize('overlap', [-1, 2.5])
def test_refuses_pieces_that_leave_a_gap(overlap):
    with pytest.raises(ValueError, match='overlap must be an integer of at least 0'):
        chopped_forward(enlarge, torch.rand(1, 3, 40, 40), 2, overlap=overlap)
