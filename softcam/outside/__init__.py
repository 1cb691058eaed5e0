"""Maps from elsewhere: another framework, another self-explaining network, a file of arrays.

`maps.npz` holds four plain arrays, one row a map: `id` (N,) the image, `class_index` (N,) which
logit the map explains, `maps` (N, h, w) raw and signed, `logits` (N, C) of the image. An image
may have several rows, one a class.

    write_maps("maps.npz", ids, class_index, maps, logits)
    outside = read_maps("maps.npz", data)
    outside.target_maps(indices, targets)

The file is not trusted. Nothing is unpickled, no member is read before its header is checked,
and no size is believed that the data set does not bear out.
"""

from __future__ import annotations

from softcam.outside.maps import OutsideMaps, read_maps, write_maps

__all__ = ["OutsideMaps", "read_maps", "write_maps"]
