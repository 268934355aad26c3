"""The position of a TIFF's pixels on the ground or under the microscope, and its scaling."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

# Tags of GeoTIFF, and of GDAL.
_PIXEL_SCALE, _TIE_POINTS, _TRANSFORMATION = 33550, 33922, 34264
_GEO_KEYS, _GEO_DOUBLES, _GEO_TEXTS = 34735, 34736, 34737
_RPC, GDAL_METADATA, GDAL_NODATA = 50844, 42112, 42113
_KEPT = (
    *(_PIXEL_SCALE, _TIE_POINTS, _TRANSFORMATION, _GEO_KEYS, _GEO_DOUBLES, _GEO_TEXTS, _RPC),
    *(GDAL_METADATA, GDAL_NODATA),
)
_RASTER_TYPE, _PIXEL_IS_POINT = 1025, 2
_ITEM = re.compile(r'<Item [^>]*>[^<]*</Item>')
_SAMPLE = re.compile(r' sample="(\d+)"')


class Georeference(NamedTuple):
    """Tags of a TIFF that depend on its size, or on its bands.

    Attributes:
        tags: by number the type, the count and the value, as tifffile takes them.
    """

    tags: dict[int, tuple[int, int, Any]]

    @classmethod
    def read(cls, tags: Any) -> 'Georeference':
        """Read the tags from tifffile's."""
        kept = {}
        for code in _KEPT:
            tag = tags.get(code)
            if tag is not None:
                kept[code] = int(tag.dtype), tag.count, tag.value
        return cls(kept)

    @property
    def has_place(self) -> bool:
        """Whether there is more than metadata and nodata."""
        return not self.tags.keys() <= {GDAL_METADATA, GDAL_NODATA}

    def scaled(self, x: float, y: float) -> 'Georeference':
        """The georeference of an image that is ``x`` times as wide and ``y`` times as high."""
        tags = dict(self.tags)
        # Coordinates of pixels count from the corner of the first one, or from its centre.
        shift = 0.5 if self._is_point() else 0.0

        def set_values(code: int, values: Sequence[float]) -> None:
            tags[code] = tags[code][0], len(values), tuple(map(float, values))

        if _PIXEL_SCALE in tags:
            width, height, *others = _floats(tags[_PIXEL_SCALE])
            set_values(_PIXEL_SCALE, (width / x, height / y, *others))
        if _TIE_POINTS in tags:
            points = _floats(tags[_TIE_POINTS])
            for at in range(0, len(points) - 5, 6):
                points[at] = (points[at] + shift) * x - shift
                points[at + 1] = (points[at + 1] + shift) * y - shift
            set_values(_TIE_POINTS, points)
        if _TRANSFORMATION in tags:
            matrix = _floats(tags[_TRANSFORMATION])
            for row in range(0, 12, 4):
                across, down = matrix[row], matrix[row + 1]
                matrix[row], matrix[row + 1] = across / x, down / y
                matrix[row + 3] += shift * ((1 / x - 1) * across + (1 / y - 1) * down)
            set_values(_TRANSFORMATION, matrix)
        if _RPC in tags:  # its offsets and scales of lines and samples; from the centre
            values = _floats(tags[_RPC])
            for at, factor in (2, y), (3, x):
                values[at] = (values[at] + 0.5) * factor - 0.5
                values[at + 5] *= factor
            set_values(_RPC, values)
        return Georeference(tags)

    def select(self, bands: Sequence[int]) -> 'Georeference':
        """The georeference of an image of these bands, counted from 0."""
        if GDAL_METADATA not in self.tags:
            return self
        dtype, _, text = self.tags[GDAL_METADATA]

        def renumber(match: re.Match[str]) -> str:
            sample = _SAMPLE.search(match[0])
            if sample is None:
                return match[0]
            if int(sample[1]) not in bands:
                return ''
            return _SAMPLE.sub(f' sample="{list(bands).index(int(sample[1]))}"', match[0])

        text = _ITEM.sub(renumber, str(text))
        return Georeference(self.tags | {GDAL_METADATA: (dtype, 0, text)})

    def band_names(self) -> Mapping[int, str]:
        """The names of bands, from 0, in GDAL's metadata: colours, or else descriptions."""
        names = {}
        text = str(self.tags.get(GDAL_METADATA, (0, 0, ''))[2])
        for role in 'description', 'colorinterp':
            for item in _ITEM.findall(text):
                sample = _SAMPLE.search(item)
                if sample and f'role="{role}"' in item:
                    names[int(sample[1])] = re.sub('<[^>]*>', '', item).strip().lower()
        return names

    def _is_point(self) -> bool:
        keys = self.tags.get(_GEO_KEYS, (0, 0, ()))[2]
        entries = zip(keys[4::4], keys[7::4]) if isinstance(keys, tuple) else ()
        return (_RASTER_TYPE, _PIXEL_IS_POINT) in entries


def _floats(tag: tuple[int, int, Any]) -> list[float]:
    value = tag[2]
    return [float(number) for number in (value if isinstance(value, tuple) else (value,))]
