//! Fronts of Dice, surface distance and size: losses of which none is at least as good as another in all three and better
//! in one (NSGA-II: Deb et al. 2002, with their crowding distance).

use super::individual::Individual;

/// What is compared; the smaller, the better.
fn objectives(individual: &Individual) -> [f64; 3] {
    [-individual.gain(), individual.surface_gain(), individual.formula.size() as f64]
}

fn dominates(a: &[f64; 3], b: &[f64; 3]) -> bool {
    a.iter().zip(b).all(|(a, b)| a <= b) && a != b
}

/// The individuals that nobody dominates, smallest first, of equals the oldest. Only those that were trained to the end
/// can be compared.
pub(super) fn front<'a>(individuals: impl Iterator<Item = &'a Individual>) -> Vec<&'a Individual> {
    let through: Vec<&Individual> = individuals.filter(|individual| individual.is_through()).collect();
    let values: Vec<[f64; 3]> = through.iter().map(|individual| objectives(individual)).collect();
    let free = |at: &usize| {
        let equal_and_older = |other: usize| values[other] == values[*at] && through[other].id < through[*at].id;
        (0..through.len()).all(|other| !dominates(&values[other], &values[*at]) && !equal_and_older(other))
    };
    let mut found: Vec<&Individual> = (0..through.len()).filter(free).map(|at| through[at]).collect();
    found.sort_by(|a, b| {
        let gain = b.gain().total_cmp(&a.gain());
        a.formula.size().cmp(&b.formula.size()).then(gain).then(a.id.cmp(&b.id))
    });
    found
}

/// Places of individuals from best to worst: by front, within a front the lonelier first. Those that were not trained to
/// the end come last, in their own order.
pub(super) fn order(individuals: &[Individual]) -> Vec<usize> {
    let values: Vec<[f64; 3]> = individuals.iter().map(objectives).collect();
    let mut open: Vec<usize> = (0..individuals.len()).filter(|at| individuals[*at].is_through()).collect();
    let mut sorted = Vec::with_capacity(individuals.len());
    while !open.is_empty() {
        let free = |at: &usize| open.iter().all(|other| !dominates(&values[*other], &values[*at]));
        let (mut front, rest): (Vec<usize>, Vec<usize>) = open.iter().partition(|at| free(at));
        let crowding = crowding(&front, &values);
        let distance = |at: usize| crowding.iter().find(|(place, _)| *place == at).map_or(0.0, |(_, d)| *d);
        front.sort_by(|a, b| distance(*b).total_cmp(&distance(*a)).then(individuals[*a].id.cmp(&individuals[*b].id)));
        sorted.extend(front);
        open = rest;
    }
    let mut rest: Vec<usize> = (0..individuals.len()).filter(|at| !individuals[*at].is_through()).collect();
    rest.sort_by_key(|at| (individuals[*at].part, individuals[*at].id));
    sorted.extend(rest);
    sorted
}

/// How far the neighbours of each lie apart, over all objectives, as a share of the front; infinite at its ends.
fn crowding(front: &[usize], values: &[[f64; 3]]) -> Vec<(usize, f64)> {
    let mut distances: Vec<(usize, f64)> = front.iter().map(|at| (*at, 0.0)).collect();
    let objectives: [fn(&[f64; 3]) -> f64; 3] = [|values| values[0], |values| values[1], |values| values[2]];
    for objective in objectives {
        let value = |place: usize| objective(&values[front[place]]);
        let mut sorted: Vec<usize> = (0..front.len()).collect();
        sorted.sort_by(|a, b| value(*a).total_cmp(&value(*b)).then(a.cmp(b)));
        let (Some(first), Some(last)) = (sorted.first().copied(), sorted.last().copied()) else { continue };
        let range = value(last) - value(first);
        distances[first].1 = f64::INFINITY;
        distances[last].1 = f64::INFINITY;
        if range > 0.0 {
            for triple in sorted.windows(3) {
                distances[triple[1]].1 += (value(triple[2]) - value(triple[0])) / range;
            }
        }
    }
    distances
}

#[cfg(test)]
mod tests {
    use super::super::fitness::{Gain, Outcome};
    use super::*;

    fn one(id: u64, dice: f64, hd95_mm: f64, formula: &str) -> Individual {
        Individual::with_gains(id, formula, vec![Gain { dice: vec![dice], hd95_mm }])
    }

    #[test]
    fn nobody_on_the_front_is_dominated_and_the_order_is_by_fronts() {
        let (small, large) = ("(mean abs_diff)", "(mean (+ ce_fg ce_bg))");
        let mut all = vec![
            one(0, 0.01, 0.0, small),
            one(1, 0.02, 0.0, large),
            one(2, 0.00, -0.5, large),
            one(3, 0.00, 0.1, large),
            one(4, 0.01, 0.0, small),
        ];
        all[3].part = 9;
        let ids = |front: Vec<&Individual>| front.iter().map(|one| one.id).collect::<Vec<_>>();
        // 4 is 0 again; 3 was not trained to the end.
        assert_eq!(ids(front(all.iter())), [0, 1, 2]);
        all[3].part = 1;
        assert_eq!(ids(front(all.iter())), [0, 1, 2]);
        assert_eq!(order(&all).last(), Some(&3));
        let failed = Individual { outcome: Outcome::Diverged { step: 0 }, gains: Vec::new(), ..all[1].clone() };
        assert!(front([failed].iter()).is_empty());
    }
}
