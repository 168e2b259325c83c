//! Voxels of a case, in memory or in a file of the cache: read whole, or only where they are needed.
//!
//! A file is opened for every look at it and read by whole rows, a plane at a time: no case holds a file open, so a set
//! may have more cases than a process may have files, and what was read lately is still in the memory of the operating
//! system. Mapping files into memory would save the copies and needs `unsafe`, and a disk that fails would then end the
//! program instead of a training.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::marker::PhantomData;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::fault::{Fault, Result};
use crate::volume::{Grid, Volume};

/// A number as it stands in a file, little-endian.
pub trait Number: Copy + Default + Send + Sync + 'static {
    /// Its length.
    const BYTES: usize;

    /// Reads it.
    ///
    /// # Panics
    /// If `bytes` are not [`Number::BYTES`].
    fn read(bytes: &[u8]) -> Self;

    /// Appends it.
    fn write(self, bytes: &mut Vec<u8>);
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl Number for $type {
            const BYTES: usize = size_of::<Self>();

            fn read(bytes: &[u8]) -> Self {
                Self::from_le_bytes(bytes.try_into().expect("as many bytes as the number has"))
            }

            fn write(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

number!(u8, u32, f32);

/// Numbers one after the other in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored<T> {
    path: Arc<Path>,
    /// Bytes before the first.
    start: u64,
    count: usize,
    kind: PhantomData<T>,
}

impl<T: Number> Stored<T> {
    /// `count` numbers, the first after `start` bytes.
    pub(super) fn new(path: &Arc<Path>, start: u64, count: usize) -> Self {
        Self { path: Arc::clone(path), start, count, kind: PhantomData }
    }

    /// Bytes before what follows them.
    pub(super) fn end(&self) -> u64 {
        self.start + (self.count * T::BYTES) as u64
    }

    /// Those of several ranges, one after the other.
    fn read(&self, ranges: impl Iterator<Item = Range<usize>>) -> Result<Vec<T>> {
        let failed = |error: std::io::Error| {
            Fault::failed(format!("a case of the cache cannot be read any more: {error}"))
                .file(&self.path)
                .hint("was the cache deleted or its disk removed while it was in use? --resume makes it again")
        };
        let mut file = File::open(&self.path).map_err(failed)?;
        let (mut numbers, mut bytes) = (Vec::new(), Vec::new());
        for range in ranges {
            bytes.resize(range.len() * T::BYTES, 0);
            file.seek(SeekFrom::Start(self.start + (range.start * T::BYTES) as u64)).map_err(failed)?;
            file.read_exact(&mut bytes).map_err(failed)?;
            numbers.extend(bytes.chunks_exact(T::BYTES).map(T::read));
        }
        Ok(numbers)
    }
}

/// One value per voxel of a grid.
#[derive(Debug, Clone, PartialEq)]
pub enum Voxels<T> {
    /// In memory.
    Memory(Volume<T>),
    /// In a file.
    File {
        /// The grid.
        grid: Grid,
        /// Its values, last axis contiguous.
        values: Stored<T>,
    },
}

/// A piece of a volume, whole rows of it.
pub(super) struct Part<'a, T: Clone> {
    pub(super) volume: Cow<'a, Volume<T>>,
    /// The voxel of the whole at which it begins.
    pub(super) first: [usize; 3],
}

impl<T: Number> Voxels<T> {
    /// The grid.
    pub fn grid(&self) -> &Grid {
        match self {
            Self::Memory(volume) => &volume.grid,
            Self::File { grid, .. } => grid,
        }
    }

    /// All of it, in memory.
    ///
    /// # Errors
    /// If its file cannot be read.
    pub fn whole(&self) -> Result<Cow<'_, Volume<T>>> {
        Ok(match self {
            Self::Memory(volume) => Cow::Borrowed(volume),
            Self::File { grid, values } => {
                Cow::Owned(Volume { grid: grid.clone(), voxels: values.read(std::iter::once(0..values.count))? })
            }
        })
    }

    /// A part that has the voxels of a box at least, which ends within the volume. Its grid has no place in space.
    ///
    /// # Errors
    /// If its file cannot be read.
    pub(super) fn part(&self, [i, j, _]: [Range<usize>; 3]) -> Result<Part<'_, T>> {
        let Self::File { grid, values } = self else {
            return Ok(Part { volume: self.whole()?, first: [0; 3] });
        };
        let [_, height, width] = grid.shape;
        let first = [i.start, j.start, 0];
        let shape = [i.len(), j.len(), width];
        let planes = i.map(|plane| (plane * height + j.start) * width..(plane * height + j.end) * width);
        let volume = Volume { grid: Grid::aligned(shape, grid.spacing), voxels: values.read(planes)? };
        Ok(Part { volume: Cow::Owned(volume), first })
    }
}

/// Positions of the voxels of a class, ascending: a random one is one look away.
#[derive(Debug, Clone, PartialEq)]
pub enum Places {
    /// In memory.
    Memory(Vec<u32>),
    /// In a file.
    File(Stored<u32>),
}

impl Places {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(places) => places.len(),
            Self::File(places) => places.count,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The n-th.
    ///
    /// # Errors
    /// If its file cannot be read.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn at(&self, n: usize) -> Result<usize> {
        Ok(match self {
            Self::Memory(places) => places[n],
            Self::File(places) => places.read(std::iter::once(n..n + 1))?[0],
        } as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_the_same_numbers_as_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path: Arc<Path> = folder.path().join("numbers").into();
        let grid = Grid::aligned([4, 3, 5], [1.0, 2.0, 3.0]);
        let volume = Volume { voxels: (0..60).map(|n| n as f32 - 7.5).collect(), grid: grid.clone() };
        let mut bytes = vec![9_u8; 3];
        volume.voxels.iter().for_each(|value| value.write(&mut bytes));
        for place in [5_u32, 70_000] {
            place.write(&mut bytes);
        }
        std::fs::write(&path, bytes).unwrap();
        let values = Stored::<f32>::new(&path, 3, 60);
        let places = Places::File(Stored::new(&path, values.end(), 2));
        assert_eq!((places.len(), places.at(0).unwrap(), places.at(1).unwrap()), (2, 5, 70_000));
        let (memory, file) = (Voxels::Memory(volume.clone()), Voxels::File { grid, values });
        assert_eq!((file.grid(), file.whole().unwrap().as_ref()), (memory.grid(), &volume));
        for range in [[1..3, 1..2, 0..2], [0..4, 0..3, 0..5], [3..4, 2..3, 4..5], [2..2, 0..3, 0..5]] {
            let (one, other) = (memory.part(range.clone()).unwrap(), file.part(range.clone()).unwrap());
            for i in range[0].clone() {
                for j in range[1].clone() {
                    for k in range[2].clone() {
                        let value = |part: &Part<'_, f32>| {
                            let [x, y, z] = part.first;
                            part.volume.voxels[part.volume.index([i - x, j - y, k - z])]
                        };
                        assert_eq!(value(&one), value(&other));
                    }
                }
            }
            assert!(other.volume.voxels.len() <= range[0].len() * range[1].len() * 5, "no more than whole rows");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(file.whole().unwrap_err().to_string().contains("numbers"));
    }
}
