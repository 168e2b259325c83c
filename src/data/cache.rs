//! Cases on disk, for sets that do not fit in memory: prepared once, then read patch by patch.
//!
//! One file a case, named by the digest of everything that decides what is in it: the bytes of its files, the settings of
//! preprocessing, the classes, and the version of this program. So nothing in a cache is ever out of date, two programs
//! may share one, and all of it may be deleted at any time between runs. A file is complete or absent. In it stand the digest
//! of all that follows, a description (JSON), then the numbers of channels, masks and positions of classes, which
//! [`super::store`] reads. The digest is compared once, when a run opens the file: one that a disk has altered is made again.
//! Looking again at every reading would cost more than the reading.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
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
const VERSION: u32 = 2;

/// With what every file begins.
const MAGIC: &[u8; 8] = b"lossgen\n";

/// Bytes before the description: magic, digest and its length.
const START: usize = MAGIC.len() + blake3::OUT_LEN + u32::BYTES;

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
    bytes.extend([0; blake3::OUT_LEN]);
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
    let (start, rest) = bytes.split_at_mut(MAGIC.len() + blake3::OUT_LEN);
    start[MAGIC.len()..].copy_from_slice(blake3::hash(rest).as_bytes());
    Ok(bytes)
}

/// The case of a file; `None` if there is none, or a byte of it is not as it was written.
fn open(path: &Arc<Path>, entry: &Entry) -> Option<Case> {
    let mut file = fs::File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let mut start = [0; START];
    file.read_exact(&mut start).ok()?;
    let (magic, rest) = start.split_at(MAGIC.len());
    let (digest, size) = rest.split_at(blake3::OUT_LEN);
    if magic != MAGIC || blake3::Hasher::new().update(size).update_reader(&file).ok()?.finalize() != *digest {
        return None;
    }
    let size = u64::from(u32::read(size));
    file.seek(SeekFrom::Start(START as u64)).ok()?;
    let mut text = vec![0; size as usize];
    file.read_exact(&mut text).ok()?;
    let Head { way, channels, native, shared, counts } = serde_json::from_slice(&text).ok()?;
    let grid = way.grid();
    let mut end = START as u64 + size;
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
        let flipped = |at: usize| {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            bytes
        };
        // Of the same length: in the digest, the description, an intensity, and the last place of a class.
        let same = [8, START + 5, START + 2000, whole.len() - 1].map(flipped);
        let short = [&whole[..whole.len() - 1], &whole[..20], b"", b"lossgen\n\xff\xff\xff\xff{}"].map(<[u8]>::to_vec);
        for damage in short.into_iter().chain(same) {
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

    #[test]
    fn a_file_that_changes_while_it_is_in_use_is_a_fault_and_no_panic() {
        let home = tempfile::tempdir().unwrap();
        let set = home.path().join("set");
        Phantom { cases: 1, shape: [16, 16, 12], seed: 5 }.write(&set).unwrap();
        let cache = Cache { folder: home.path().join("cache"), above: 0 };
        let dataset = Dataset::load(&set, &Preprocess::default(), Some(&cache)).unwrap();
        let file = &files(&cache.folder)[0];
        let mut bytes = fs::read(file).unwrap();
        let size = u32::read(&bytes[START - 4..START]) as usize;
        bytes[START + size..].fill(0xff);
        fs::write(file, bytes).unwrap();
        for foreground_share in [0.0, 1.0] {
            let sampler = PatchSampler { patch: [8; 3], batch: 1, foreground_share };
            let rng = &mut ChaCha8Rng::seed_from_u64(1);
            let fault = sampler.batch(&dataset.cases, &Augment::none(), rng).unwrap_err();
            assert_eq!(fault.kind(), crate::fault::Kind::Failed);
            assert!(fault.to_string().contains("phantom_0000"), "{fault}");
        }
    }
}
