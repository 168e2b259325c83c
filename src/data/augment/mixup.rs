//! MixUp: every patch of a batch blended with one random patch of it.
//!
//! `x' = s x + (1 - s) x_partner`, the same for the target, s from Beta(alpha, alpha), one s and one partner per batch
//! (Zhang et al., 2018, "mixup: Beyond Empirical Risk Minimization"; the single partner is the founding talk's form).
//! Targets become soft: losses that assume 0 or 1 must not be trained on mixed batches.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution};
use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Result};

/// How strongly patches are mixed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mixup {
    /// Both parameters of the Beta distribution: near 0 patches stay nearly pure, at 1 every share is as likely.
    pub alpha: f64,
}

impl Default for Mixup {
    fn default() -> Self {
        Self { alpha: 0.2 }
    }
}

/// One draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mix {
    /// Share that each patch keeps of itself, in [0, 1].
    pub share: f32,
    /// The patch that all others are blended with.
    pub partner: usize,
}

impl Mixup {
    /// Checks the numbers of a configuration.
    ///
    /// # Errors
    /// If `alpha` is not a positive number up to 1000, where mixing is one half in any case.
    pub fn validate(&self) -> Result<()> {
        if self.alpha > 0.0 && self.alpha <= 1000.0 {
            return Ok(());
        }
        Err(Fault::new("MixUp cannot be drawn")
            .field("mixup.alpha")
            .expected("above 0, at most 1000")
            .found(self.alpha))
    }

    /// Draws share and partner for a batch of `count` patches, at least one.
    pub fn draw(&self, count: usize, rng: &mut ChaCha8Rng) -> Mix {
        // An alpha that was never validated mixes nothing.
        let share = Beta::new(self.alpha, self.alpha).map_or(1.0, |beta| beta.sample(rng));
        Mix { share: share as f32, partner: rng.random_range(0..count) }
    }
}

/// Blends `values`, patches of `length` numbers one after the other.
pub fn apply(values: &mut [f32], length: usize, mix: Mix) {
    let partner = values[mix.partner * length..(mix.partner + 1) * length].to_vec();
    for patch in values.chunks_exact_mut(length) {
        for (own, other) in patch.iter_mut().zip(&partner) {
            // This form keeps equal values, in particular 0 and 1 of a target, exactly as they are.
            *own += (1.0 - mix.share) * (other - *own);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn all_patches_move_towards_the_partner_which_stays() {
        let mut values = vec![0.0, 1.0, 1.0, 1.0, 4.0, 0.0];
        apply(&mut values, 2, Mix { share: 0.75, partner: 1 });
        assert_eq!(values, [0.25, 1.0, 1.0, 1.0, 3.25, 0.25]);
    }

    #[test]
    fn shares_follow_the_beta_distribution() {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let draws: Vec<Mix> = (0..4000).map(|_| Mixup { alpha: 0.2 }.draw(3, &mut rng)).collect();
        assert!(draws.iter().all(|mix| (0.0..=1.0).contains(&mix.share) && mix.partner < 3));
        let mean = draws.iter().map(|mix| mix.share).sum::<f32>() / 4000.0;
        let variance = draws.iter().map(|mix| (mix.share - mean).powi(2)).sum::<f32>() / 4000.0;
        // Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1)).
        assert!((mean - 0.5).abs() < 0.03 && (variance - 1.0 / 5.6).abs() < 0.01, "{mean} {variance}");
    }
}
