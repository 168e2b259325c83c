//! Losses against independent tools.
//!
//! Golden values: MONAI 1.6.1 (`DiceLoss`, `TverskyLoss`, `DiceCELoss`) and PyTorch 2.15.0 (cross-entropy, focal,
//! top-k, `IoU` and the powers, by autograd; MONAI's focal loss rounds to float32), float64, on logits 3 sin(0.7 i + 0.3) and targets i^2 mod 7 < 2 of
//! shape 2 x 1 x 4 x 5 x 6; the gradient at voxels 0, 17 and 118.

use lossgen::losses::named;

use crate::support::Batch;

type Golden = (&'static str, f64, [f64; 3]);

#[rustfmt::skip]
#[expect(clippy::unreadable_literal, clippy::excessive_precision, reason = "as the tools print them")]
const GOLDEN: &[Golden] = &[
    ("ce", 1.1898915367137903e0, [-1.2159171013861783e-03, 1.0604692001369607e-03, -2.3530852803295885e-04]),
    ("weighted_ce", 2.2159238679025104e0, [-3.6477513041585346e-03, 1.0604692001369607e-03, -7.0592558409887651e-04]),
    ("focal", 8.7302932344589146e-01, [-2.7696009671135413e-04, 1.8689076265636042e-04, -2.2082176970462569e-06]),
    ("dice", 5.4866312923548310e-01, [-1.4104459482525947e-03, 3.8108790281985772e-04, -3.6366407860517622e-04]),
    ("tversky", 5.3472657854483541e-01, [-1.6208288749287830e-03, 2.4428704608511580e-04, -4.1790842116842244e-04]),
    ("dice_ce", 1.7385546659492734e0, [-2.6263630496387727e-03, 1.4415571029568184e-03, -5.9897260663813504e-04]),
    ("dice(smooth_nr=1, smooth_dr=1)", 5.4382510396451633e-01, [-1.3937765280784909e-03, 3.8171687958003618e-04, -3.5936609800123431e-04]),
    ("dice(smooth_nr=0, smooth_dr=1e-5)", 5.4866321819540631e-01, [-1.4104460288810584e-03, 3.8108782879472648e-04, -3.6366409939411602e-04]),
    ("asymmetric", 5.3527862090262390e-01, [-1.6122738481975959e-03, 2.4990405770762650e-04, -4.1570262525153940e-04]),
    ("focal_tversky", 6.2531030911365537e-01, [-1.4247488703107701e-03, 2.1473438579789399e-04, -3.6735189023531491e-04]),
    ("focal_dice", 6.3749642478244128e-01, [-1.2310322484203977e-03, 3.3261217732969610e-04, -3.1740472501601145e-04]),
    ("iou", 7.0855723360109790e-01, [-1.1813829904729011e-03, 3.1919750525694648e-04, -3.0460334707786620e-04]),
    ("topk", 3.0059104231769820e0, [0.0, 0.0, 0.0]),
];

#[test]
fn values_and_gradients_are_those_of_the_references() {
    let n = 2 * 4 * 5 * 6;
    let batch = Batch {
        samples: 2,
        classes: 1,
        logits: (0..n).map(|i| 3.0 * (0.7 * f64::from(i) + 0.3).sin()).collect(),
        targets: (0..n).map(|i| f64::from((i * i) % 7 < 2)).collect(),
        progress: 0.0,
    };
    for (typed, value, slopes) in GOLDEN {
        let (ours, gradient) = batch.gradient(&named(typed).unwrap().formula);
        assert!((ours - value).abs() <= 1e-9 * value.abs(), "{typed}: {ours} instead of {value}");
        let largest = gradient.iter().fold(0.0, |m: f64, s| m.max(s.abs()));
        for (voxel, slope) in [0, 17, 118].into_iter().zip(slopes) {
            let error = (gradient[voxel] - slope).abs();
            assert!(error <= 1e-8 * largest, "{typed}, voxel {voxel}: {} instead of {slope}", gradient[voxel]);
        }
    }
}
