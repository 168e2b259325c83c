"""The masks of `lossgen bench`, voxel for voxel: the counterpart of src/cli/bench/scene.rs."""

import numpy as np

SHAPE = (128, 128, 128)
SPACING_MM = (3.0, 0.8, 0.5)


def mask(name):
    """`bodies`: five flat ellipsoids in a row; `strewn`: every 97th voxel."""
    if name == "bodies":
        return _bodies((0, 0, 0), 32)
    i, j, k = np.indices(SHAPE, dtype=np.int32)
    return (i * 7 + j * 13 + k * 29) % 97 == 0


def prediction():
    """The bodies, a little shifted and a little smaller."""
    return _bodies((1, 2, -3), 30)


def _bodies(shift, radius):
    found = np.zeros(SHAPE, dtype=bool)
    for body in range(5):
        centre = (14 + 25 * body, 64, 64)
        i, j, k = (axis - c - s for axis, c, s in zip(np.indices(SHAPE, dtype=np.int32), centre, shift))
        found |= 9 * i * i + j * j + k * k <= radius * radius
    return found


if __name__ == "__main__":
    print([int(volume.sum()) for volume in (mask("bodies"), mask("strewn"), prediction())])
