"""The counterpart of `lossgen bench distance`: SciPy's exact Euclidean distance transform.

SciPy computes on one thread whatever `--threads` says. The mask is inverted before the clock starts.
"""

import scipy
from scipy.ndimage import distance_transform_edt

import measure
import scene


def main():
    parser = measure.arguments(__doc__.splitlines()[0])
    parser.add_argument("--mask", choices=("bodies", "strewn"), default="bodies")
    options = parser.parse_args()
    options.threads = 1
    outside = ~scene.mask(options.mask)

    def work(parts):
        distances = distance_transform_edt(outside, sampling=scene.SPACING_MM)
        parts.lap("distance")
        return distances

    durations, distances = measure.measure(options, work)
    results = {"mean_mm": float(distances.mean()), "max_mm": float(distances.max())}
    measure.report(
        "distance", f"scipy {scipy.__version__}", options, durations, results,
        mask=options.mask, shape=scene.SHAPE, spacing_mm=scene.SPACING_MM,
    )


if __name__ == "__main__":
    main()
