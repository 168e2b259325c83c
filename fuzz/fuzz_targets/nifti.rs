//! Any bytes, compressed or not, are volumes or an error: never a panic, and never memory for voxels that do not come.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use lossgen::data::nifti::read_channels_from;

fuzz_target!(|bytes: &[u8]| {
    match read_channels_from(bytes, Path::new("fuzz.nii")) {
        Ok(channels) => {
            for channel in channels {
                assert_eq!(channel.voxels.len(), channel.grid.voxels());
                assert!(channel.voxels.iter().all(|value| value.is_finite()));
                assert!(channel.grid.spacing.iter().all(|mm| mm.is_finite() && *mm > 0.0));
                assert!(channel.grid.affine.as_flattened().iter().all(|x| x.is_finite()));
            }
        }
        Err(fault) => assert!(fault.to_string().contains("fuzz.nii")),
    }
});
