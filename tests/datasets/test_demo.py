from tiny_data import contents

from csnln_mm.datasets import demo
from csnln_mm.images.degradation import downsample
from csnln_mm.images.image_file import read_rgb


def test_photographs_are_laid_out_as_benchmarks_and_stay(tmp_path, monkeypatch):
    train, test = demo.TRAIN_PHOTOGRAPHS, demo.TEST_PHOTOGRAPHS
    assert not set(train) & set(test)
    monkeypatch.setattr(demo, 'TRAIN_PHOTOGRAPHS', {'camera': train['camera']})
    monkeypatch.setattr(demo, 'TEST_PHOTOGRAPHS', {'chelsea': test['chelsea']})
    demo.prepare_demo(tmp_path, 3)
    files = contents(tmp_path)
    assert sorted(files) == [
        'test/GTmod12/chelsea.png',
        'test/LRbicx3/chelsea.png',
        'train/GTmod12/camera.png',
        'train/LRbicx3/camera.png',
    ]
    gt = read_rgb(tmp_path / 'test/GTmod12/chelsea.png')
    assert (gt == test['chelsea']()[:300, :444]).all()
    assert (read_rgb(tmp_path / 'test/LRbicx3/chelsea.png') == downsample(gt, 3)).all()
    grey = read_rgb(tmp_path / 'train/GTmod12/camera.png')
    assert (grey == train['camera']()[:504, :504, None]).all()
    demo.prepare_demo(tmp_path, 3)
    assert files == contents(tmp_path)
