//! An image that is to be predicted: as a [`super::Case`] without a truth.

use std::path::PathBuf;

use super::case::{other_channels, same_grid};
use super::nifti;
use super::preprocess::Preprocess;
use crate::fault::Result;
use crate::volume::{Grid, Volume};

/// A preprocessed image and the grid of its file.
#[derive(Debug, Clone)]
pub struct Scan {
    /// The preprocessed image: one volume for each channel, all on the same grid.
    pub channels: Vec<Volume<f32>>,
    /// The grid of the file, on which a prediction has to stand.
    pub native: Grid,
}

impl Scan {
    /// Reads and preprocesses an image of `channels` channels: one file with all of them, or a file for each.
    ///
    /// # Errors
    /// As [`nifti::read_channels`] and [`Preprocess::image`], with the file that is to blame; if there are more or fewer
    /// channels, or they are on different grids.
    ///
    /// # Panics
    /// If there is no file.
    pub fn read(files: &[PathBuf], channels: usize, preprocess: &Preprocess) -> Result<Self> {
        let mut prepared = Vec::with_capacity(channels);
        let mut native: Option<Grid> = None;
        for path in files {
            for channel in nifti::read_channels(path)? {
                let first = native.get_or_insert_with(|| channel.grid.clone());
                same_grid("channel", &files[0].display().to_string(), first, &channel.grid)
                    .map_err(|fault| fault.file(path))?;
                prepared.push(preprocess.image(&channel).map_err(|fault| fault.file(path))?);
            }
        }
        match native {
            Some(native) if prepared.len() == channels => Ok(Self { channels: prepared, native }),
            _ => Err(other_channels(&files[0], channels, prepared.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_come_from_one_file_or_several_and_lie_on_each_other() {
        let home = tempfile::tempdir().unwrap();
        let write = |name: &str, spacing: f64| {
            let grid = Grid::aligned([4, 3, 2], [1.0, 1.0, spacing]);
            let voxels = (0..24).collect();
            let path = home.path().join(name);
            nifti::write_new_image(&path, &Volume { grid, voxels }).unwrap();
            path
        };
        let files = [write("a_0000.nii.gz", 2.0), write("a_0001.nii.gz", 2.0), write("b_0001.nii.gz", 3.0)];
        let read = |files: &[PathBuf], channels| Scan::read(files, channels, &Preprocess::default());
        let scan = read(&files[..2], 2).unwrap();
        assert_eq!((scan.channels.len(), scan.native.spacing), (2, [1.0, 1.0, 2.0]));
        let text = read(&files[..1], 2).unwrap_err().to_string();
        assert!(text.contains("expected: 2 channels") && text.contains("a_0000"), "{text}");
        let text = read(&[files[0].clone(), files[2].clone()], 2).unwrap_err().to_string();
        assert!(text.contains("b_0001") && text.contains("1 x 1 x 3 mm") && text.contains("a_0000"), "{text}");
    }
}
