//! Weights in the order in which the correlation reads them.

/// Weights in tiles of 8, 4, 2 or 1 outputs; in a tile, by input, tap and output.
pub(super) struct Packed {
    pub(super) values: Vec<f32>,
    pub(super) tiles: Vec<Tile>,
    pub(super) inputs: usize,
    pub(super) taps: usize,
}

/// A run of outputs computed together.
pub(super) struct Tile {
    /// The first output.
    pub(super) first: usize,
    /// How many: 8, 4, 2 or 1.
    pub(super) outputs: usize,
    /// Where its weights begin.
    pub(super) start: usize,
}

/// The largest tile of at most `left` channels.
pub(super) fn tile(left: usize) -> usize {
    match left {
        8.. => 8,
        4.. => 4,
        2.. => 2,
        _ => 1,
    }
}

impl Packed {
    /// Packs `weight(output, input, tap)`.
    pub(super) fn new(outputs: usize, inputs: usize, taps: usize, weight: impl Fn(usize, usize, usize) -> f32) -> Self {
        let mut packed = Self { values: Vec::with_capacity(outputs * inputs * taps), tiles: Vec::new(), inputs, taps };
        let mut first = 0;
        while first < outputs {
            let count = tile(outputs - first);
            packed.tiles.push(Tile { first, outputs: count, start: packed.values.len() });
            for input in 0..inputs {
                for tap in 0..taps {
                    packed.values.extend((first..first + count).map(|output| weight(output, input, tap)));
                }
            }
            first += count;
        }
        packed
    }
}
