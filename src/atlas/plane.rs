//! A flat picture of directions: the plane through their mean along which they differ most, and what share of their
//! differences it shows.
//!
//! The two principal components, by power iteration with a fixed number of rounds from a fixed start, so that the same
//! directions give the same picture. A neighbour embedding (t-SNE, UMAP) would part the clusters more clearly and invent
//! the distances between them.

/// Directions from which the plane is computed, spread evenly over all: more move it less than a pixel.
const SAMPLE: usize = 2000;
const ROUNDS: usize = 60;

/// Where directions stand in a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    middle: Vec<f64>,
    axes: [Vec<f64>; 2],
    /// Share of the squared distances from the mean that each axis shows.
    pub shares: [f64; 2],
}

impl Plane {
    /// The plane of some directions; `None` if there are fewer than three or they are all the same.
    pub fn of(directions: &[&[f32]]) -> Option<Self> {
        let stride = directions.len().div_ceil(SAMPLE).max(1);
        let sample: Vec<&[f32]> = directions.iter().step_by(stride).copied().collect();
        if sample.len() < 3 {
            return None;
        }
        let count = sample.len() as f64;
        let mut middle = vec![0.0; sample[0].len()];
        for direction in &sample {
            middle.iter_mut().zip(*direction).for_each(|(m, x)| *m += f64::from(*x) / count);
        }
        let centred =
            |direction: &[f32]| -> Vec<f64> { direction.iter().zip(&middle).map(|(x, m)| f64::from(*x) - m).collect() };
        let mut rest: Vec<Vec<f64>> = sample.iter().map(|direction| centred(direction)).collect();
        let all: f64 = rest.iter().map(|row| dot(row, row)).sum();
        let mut shares = [0.0; 2];
        let mut axes = [Vec::new(), Vec::new()];
        for (axis, share) in axes.iter_mut().zip(&mut shares) {
            *axis = longest(&rest)?;
            for row in &mut rest {
                let along = dot(row, axis);
                *share += along * along / all;
                row.iter_mut().zip(axis.iter()).for_each(|(x, a)| *x -= along * a);
            }
        }
        Some(Self { middle, axes, shares })
    }

    /// Where a direction stands, in units of the distance between directions.
    pub fn place(&self, direction: &[f32]) -> [f64; 2] {
        let scale = (direction.len().max(1) as f64).sqrt();
        [0, 1].map(|axis| {
            let steps = direction.iter().zip(&self.middle).zip(&self.axes[axis]);
            steps.map(|((x, m), a)| (f64::from(*x) - m) * a).sum::<f64>() / scale
        })
    }
}

/// The direction of length 1 along which the rows are longest, its largest component positive.
fn longest(rows: &[Vec<f64>]) -> Option<Vec<f64>> {
    let start = rows.iter().max_by(|a, b| dot(a, a).total_cmp(&dot(b, b)))?;
    let mut axis = unit(start)?;
    for _ in 0..ROUNDS {
        let mut next = vec![0.0; axis.len()];
        for row in rows {
            let along = dot(row, &axis);
            next.iter_mut().zip(row).for_each(|(sum, x)| *sum += along * x);
        }
        axis = unit(&next)?;
    }
    let largest = axis.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()))?;
    Some(axis.into_iter().map(|a| a * largest.signum()).collect())
}

fn unit(vector: &[f64]) -> Option<Vec<f64>> {
    let length = dot(vector, vector).sqrt();
    (length > 1e-12).then(|| vector.iter().map(|x| x / length).collect())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plane_lies_along_the_longest_differences() {
        let row = |x: f32, y: f32| vec![1.0 + 0.6 * x, 0.8 * x, y, 5.0];
        let rows = [row(-4.0, 0.1), row(4.0, -0.1), row(0.0, 2.0), row(0.0, -2.0), row(1.0, 0.0)];
        let plane = Plane::of(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
        assert!(plane.shares[0] > 0.75 && plane.shares.iter().sum::<f64>() > 1.0 - 1e-9, "{:?}", plane.shares);
        let [left, right] = [&rows[0], &rows[1]].map(|row| plane.place(row));
        // The axis points along its largest component; distances are per voxel, as those of directions.
        assert!(left[0] < right[0] && ((right[0] - left[0]) - 8.0 / 2.0).abs() < 0.01, "{left:?} {right:?}");
    }

    #[test]
    fn what_does_not_differ_has_no_plane() {
        let [one, other]: [&[f32]; 2] = [&[1.0, 2.0], &[2.0, 1.0]];
        assert_eq!(Plane::of(&[one; 5]), None);
        assert_eq!(Plane::of(&[one, other]), None);
    }
}
