"""The counterpart of `lossgen bench surfaces`: HD95 and NSD at 1 mm by MONAI, or by DeepMind's surface-distance.

Only these two metrics are computed here, lossgen gives all of its thirteen. MONAI measures between edge voxels, as lossgen
does, so results must agree; surface-distance measures between surface elements, another definition with other numbers.
Its two metrics share the distances, as its manual says to do; MONAI computes them once for each metric, as its interface
demands.
"""

import numpy as np

import measure
import scene

TOLERANCE_MM = 1.0


def monai(prediction, truth, threads):
    import torch
    from monai import __version__ as version
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice

    torch.set_num_threads(threads)
    # Batch and one class, without background.
    prediction, truth = (torch.from_numpy(mask)[None, None] for mask in (prediction, truth))

    def work(parts):
        common = {"include_background": True, "spacing": scene.SPACING_MM}
        hd95 = compute_hausdorff_distance(prediction, truth, percentile=95, **common)
        nsd = compute_surface_dice(prediction, truth, class_thresholds=[TOLERANCE_MM], **common)
        parts.lap("surfaces")
        return {"hd95_mm": float(hd95), "nsd_at_1_mm": float(nsd)}

    return f"monai {version}", work


def surface_distance(prediction, truth, _threads):
    from importlib.metadata import version

    import surface_distance as library

    def work(parts):
        distances = library.compute_surface_distances(truth, prediction, scene.SPACING_MM)
        hd95 = library.compute_robust_hausdorff(distances, 95)
        nsd = library.compute_surface_dice_at_tolerance(distances, TOLERANCE_MM)
        parts.lap("surfaces")
        return {"hd95_mm": float(hd95), "nsd_at_1_mm": float(nsd)}

    return f"surface-distance {version('surface-distance')}", work


def main():
    parser = measure.arguments(__doc__.splitlines()[0])
    parser.add_argument("--tool", choices=("monai", "surface-distance"), default="monai")
    options = parser.parse_args()
    prediction, truth = (np.ascontiguousarray(mask) for mask in (scene.prediction(), scene.mask("bodies")))
    make = monai if options.tool == "monai" else surface_distance
    tool, work = make(prediction, truth, options.threads)
    durations, results = measure.measure(options, work)
    measure.report("surfaces", tool, options, durations, results, shape=scene.SHAPE, spacing_mm=scene.SPACING_MM)


if __name__ == "__main__":
    main()
