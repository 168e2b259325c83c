//! Cases on disk, for sets that do not fit in memory: prepared once, then read patch by patch.
//!
//! One file a case, named by the digest of everything that decides what is in it: the bytes of its files, the settings of
//! preprocessing, the classes, and the version of this program. So nothing in a cache is ever out of date, two programs
//! may share one, and all of it may be deleted at any time between runs. A file is complete or absent; one of another
//! length than it says is made again. In it stand a description (JSON), then the numbers of channels, masks and positions
//! of classes, which [`super::store`] reads.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::layout::{Entry, Layout};
use super::nifti;
use super::preprocess::Preprocess;
use super::store::{Number, Places, Stored, Voxels};
use super::way::Way;
use crate::fault::{Fault, Result};
use crate::run::replace;
use crate::volume::Grid;

/// Counts up when files or what preprocessing does change their meaning.
const VERSION: u32 = 1;

/// With what every file begins.
const MAGIC: &[u8; 8] = b"lossgen\n";

/// Where cases are kept, and from which size of a set on.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    /// The folder; it is made if it is needed.
    pub folder: PathBuf,
    /// Bytes that all cases of a set may need in memory together; larger ones are kept in files.
    pub above: u64,
}

/// What a file says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    way: Way,
    channels: usize,
    /// The grid of the mask's file.
    native: Grid,
    /// Whether the mask is the same on both grids and stands here once.
    shared: bool,
    /// Number of voxels of each class.
    counts: Vec<usize>,
}

impl Cache {
    /// Whether a set needs more memory than it may, by the headers of its images. Headers that cannot be read count
    /// nothing; reading the case says why.
    pub(super) fn is_needed(&self, layout: &Layout, preprocess: &Preprocess) -> bool {
        let bytes = |entry: &Entry| -> Option<u64> {
            let grid = nifti::read_grid(entry.images.first()?).ok()?;
            let prepared = Way::whole(preprocess, &grid).ok()?.grid().voxels();
            Some((prepared * (layout.channels.len() * f32::BYTES + 1) + grid.voxels()) as u64)
        };
        layout.entries.iter().filter_map(bytes).sum::<u64>() > self.above
    }

    /// A case from its file, which is made first if there is none.
    ///
    /// # Errors
    /// As [`Case::read`], or if the cache cannot be written.
    pub(super) fn case(
        &self,
        entry: &Entry,
        hashes: [blake3::Hash; 2],
        channels: usize,
        values: &[u8],
        preprocess: &Preprocess,
    ) -> Result<Case> {
        let version = env!("CARGO_PKG_VERSION");
        let key = format!("{VERSION} {version} {preprocess:?} {channels} {values:?} {} {}", hashes[0], hashes[1]);
        let path: Arc<Path> = self.folder.join(format!("{}.case", blake3::hash(key.as_bytes()).to_hex())).into();
        if let Some(case) = open(&path, entry) {
            return Ok(case);
        }
        let case = Case::read(entry, channels, values, preprocess)?;
        fs::create_dir_all(&self.folder).map_err(|error| Fault::io("create", &self.folder, &error))?;
        replace(&path, &encode(&case)?)
            .map_err(|fault| fault.and_hint("`cache` in the configuration names another folder, or more memory"))?;
        open(&path, entry).ok_or_else(|| Fault::failed("a case that was just written cannot be read back").file(&path))
    }
}

/// The bytes of a file.
fn encode(case: &Case) -> Result<Vec<u8>> {
    let shared = Arc::ptr_eq(&case.label, &case.native_label);
    let head = Head {
        way: case.way.clone(),
        channels: case.channels.len(),
        native: case.native_label.grid().clone(),
        shared,
        counts: case.voxels_of_class.iter().map(Places::len).collect(),
    };
    let head = serde_json::to_vec(&head).map_err(|error| Fault::failed(format!("cannot describe a case: {error}")))?;
    let mut bytes = MAGIC.to_vec();
    (head.len() as u32).write(&mut bytes);
    bytes.extend(head);
    for channel in &case.channels {
        channel.whole()?.voxels.iter().for_each(|value| value.write(&mut bytes));
    }
    bytes.extend(&case.label.whole()?.voxels);
    if !shared {
        bytes.extend(&case.native_label.whole()?.voxels);
    }
    for places in &case.voxels_of_class {
        for n in 0..places.len() {
            (places.at(n)? as u32).write(&mut bytes);
        }
    }
    Ok(bytes)
}

/// The case of a file; `None` if there is none, or not all of it.
fn open(path: &Arc<Path>, entry: &Entry) -> Option<Case> {
    use std::io::Read as _;
    let mut file = fs::File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let mut start = [0; MAGIC.len() + u32::BYTES];
    file.read_exact(&mut start).ok()?;
    let (magic, size) = start.split_at(MAGIC.len());
    let size = u64::from(u32::read(size));
    if magic != MAGIC || size > length {
        return None;
    }
    let mut text = vec![0; size as usize];
    file.read_exact(&mut text).ok()?;
    let Head { way, channels, native, shared, counts } = serde_json::from_slice(&text).ok()?;
    let grid = way.grid();
    let mut end = start.len() as u64 + size;
    let mut channel = || {
        let values = Stored::new(path, end, grid.voxels());
        end = values.end();
        Voxels::File { grid: grid.clone(), values }
    };
    let channels = (0..channels).map(|_| channel()).collect();
    let mut mask = |grid: &Grid| {
        let values = Stored::new(path, end, grid.voxels());
        end = values.end();
        Arc::new(Voxels::File { grid: grid.clone(), values })
    };
    // A mask that is shared lies on the grid of its own file, which differs from the image's by the rounding of writers.
    let label = mask(if shared { &native } else { grid });
    let native_label = if shared { Arc::clone(&label) } else { mask(&native) };
    let mut places = |count: usize| {
        let values = Stored::new(path, end, count);
        end = values.end();
        Places::File(values)
    };
    let voxels_of_class = counts.into_iter().map(&mut places).collect();
    let source = entry.images.first().cloned();
    let (id, subject) = (entry.id.clone(), entry.subject.clone());
    (end == length).then_some(Case { id, subject, channels, label, native_label, way, voxels_of_class, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Augment, Dataset, LabelMode, PatchSampler, Phantom};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn files(folder: &Path) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    #[test]
    fn cases_on_disk_are_those_in_memory() {
        let home = tempfile::tempdir().unwrap();
        let set = home.path().join("set");
        Phantom { cases: 3, shape: [20, 16, 12], seed: 5 }.write(&set).unwrap();
        let cache = Cache { folder: home.path().join("cache"), above: 0 };
        let halved = Preprocess { average: [2, 2, 1], crop: true, labels: LabelMode::Classes, ..Preprocess::default() };
        for preprocess in [Preprocess::default(), halved] {
            let memory = Dataset::load(&set, &preprocess, None).unwrap();
            let disk = Dataset::load(&set, &preprocess, Some(&cache)).unwrap();
            assert_eq!((&disk.digest, &disk.classes), (&memory.digest, &memory.classes));
            for (one, other) in memory.cases.iter().zip(&disk.cases) {
                assert!(
                    matches!(other.channels[0], Voxels::File { .. })
                        && matches!(other.voxels_of_class[0], Places::File(_))
                );
                assert_eq!(one.channels[0].whole().unwrap(), other.channels[0].whole().unwrap());
                assert_eq!(one.label.whole().unwrap(), other.label.whole().unwrap());
                assert_eq!(one.native_label.whole().unwrap(), other.native_label.whole().unwrap());
                assert_eq!((&one.id, &one.way, &one.source), (&other.id, &other.way, &other.source));
            }
            let augment = Augment {
                affine: Some(crate::data::augment::Affine { probability: 0.5, ..Default::default() }),
                ..Augment::default()
            };
            let sampler = PatchSampler { patch: [9, 8, 14], batch: 6, foreground_share: 0.5 };
            let batch = |set: &Dataset| sampler.batch(&set.cases, &augment, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
            assert_eq!(batch(&memory), batch(&disk));
        }
        assert_eq!(files(&cache.folder).len(), 6, "other settings, other files");
    }

    #[test]
    fn only_sets_that_are_too_large_are_kept_in_files_and_damage_is_mended() {
        let home = tempfile::tempdir().unwrap();
        let set = home.path().join("set");
        Phantom { cases: 2, shape: [16, 16, 12], seed: 5 }.write(&set).unwrap();
        // Two cases of 3072 voxels with an image of 4 bytes and a mask on either grid.
        let cache = |above| Cache { folder: home.path().join("cache"), above };
        let load = |above| Dataset::load(&set, &Preprocess::default(), Some(&cache(above))).unwrap();
        assert!(matches!(load(2 * 3072 * 6).cases[0].channels[0], Voxels::Memory(_)));
        assert!(!home.path().join("cache").exists());
        let digest = load(2 * 3072 * 6 - 1).digest;
        let files = files(&home.path().join("cache"));
        let whole = fs::read(&files[0]).unwrap();
        for damage in [&whole[..whole.len() - 1], &whole[..20], b"", b"lossgen\n\xff\xff\xff\xff{}"] {
            fs::write(&files[0], damage).unwrap();
            assert_eq!(load(0).digest, digest);
            assert_eq!(fs::read(&files[0]).unwrap(), whole);
        }
        // A file that cannot be used is told, and not hidden by what was kept of it.
        let image = set.join("imagesTr/phantom_0001.nii.gz");
        fs::write(&image, b"nothing").unwrap();
        let fault = Dataset::load(&set, &Preprocess::default(), Some(&cache(0))).unwrap_err();
        assert!(fault.to_string().contains("phantom_0001"), "{fault}");
    }
}
