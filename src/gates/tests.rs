//! The gates are calibrated: nothing that people found is rejected, and what is known to be bad is, by the gate that
//! should.

use super::*;
use crate::formula::fingerprint::{answers, direction, distance, probes};
use crate::grammar::Grammar;
use crate::losses::catalog::{CATALOG, Entry, find};
use crate::rng::{Purpose, stream};

/// What all gates that look at a loss alone say of it, and the score of the descent.
fn verdict(gates: &Gates, formula: &Formula) -> Result<f64, Rejection> {
    let passed = gates.look(formula)?;
    Ok(gates.descend(&passed)?.expect("the gate is open"))
}

/// The boundary loss is a term: alone it is least where everything is background and no voxel of the border counts.
fn with_dice(name: &str, formula: Formula) -> Formula {
    let text =
        if name == "boundary" { format!("(+ {} {formula})", find("dice").unwrap().formula()) } else { return formula };
    text.parse().unwrap()
}

#[test]
fn nothing_that_people_found_is_rejected() {
    let gates = Gates::default();
    for entry in CATALOG {
        let formula = with_dice(entry.name, entry.formula());
        let passed = gates.look(&formula).unwrap_or_else(|why| panic!("{}: {why}", entry.name));
        assert!(!passed.repaired, "{}", entry.name);
        let score = gates.descend(&passed).unwrap_or_else(|why| panic!("{}: {why}", entry.name));
        // Far from the bound, so that it is no accident.
        assert!(score.unwrap() > f64::midpoint(1.0, LEAST), "{}: {score:?}", entry.name);
    }
}

use Rejection::{
    CoversOneSide, GradientOverflow, IgnoresPrediction, IgnoresTarget, NoGradient, NoLoss, NotFinite, OneSided,
    Overflow, Stuck, Uneven, WrongSign,
};

/// What is wrong with a loss, the loss, and what is said of it.
#[rustfmt::skip]
const BAD: &[(&str, &str, Rejection)] = &[
    ("constant",                                 "(+ 1 2)",                                                         IgnoresPrediction),
    ("progress only",                            "(^ t 2)",                                                         IgnoresPrediction),
    ("target only",                              "(mean y)",                                                        IgnoresPrediction),
    ("target only, by its distance",             "(mean (* y signed_distance))",                                    IgnoresPrediction),
    ("prediction without gradient",              "(mean (* y predicted_distance))",                                 IgnoresPrediction),
    ("prediction only",                          "(mean p)",                                                        IgnoresTarget),
    ("entropy of the prediction",                "(mean (+ (* p neg_log_p) (* (- 1 p) neg_log_q)))",                IgnoresTarget),
    ("foreground only",                          "(mean ce_fg)",                                                    CoversOneSide),
    ("background only",                          "(mean (^ fp 2))",                                                 CoversOneSide),
    ("overlap in background only",               "(ratio (mean tn) (mean fp))",                                     CoversOneSide),
    ("each side silences the other",             "(mean (* ce_fg ce_bg))",                                          CoversOneSide),
    ("both sides by name, one in fact",          "(mean (* y abs_diff))",                                           OneSided),
    ("the other side is far below",              "(+ (mean fp) (mean (max 0 (- fn 2))))",                           OneSided),
    ("times 0",                                  "(* 0 (mean (+ ce_fg ce_bg)))",                                    NoGradient),
    ("less itself",                              "(- (mean abs_diff) (mean abs_diff))",                             NoGradient),
    ("flat: a power of nothing",                 "(^ (- (mean abs_diff) 1) 2)",                                     NoGradient),
    ("flat: below its floor",                    "(max 3 (mean abs_diff))",                                         NoGradient),
    ("flat: clipped voxel by voxel",             "(mean (max abs_diff 1))",                                         NoGradient),
    ("huge",                                     "(* 1e39 (mean (+ ce_fg ce_bg)))",                                 Overflow),
    ("huge in between",                          "(mean (/ abs_diff (^ (* 1e20 (+ 1 y)) 2)))", Overflow),
    ("exploding: a power of a sum",              "(^ (sum (+ ce_fg ce_bg)) 6)",                                     Overflow),
    ("exploding: powers of powers",              "(mean (^ (^ (+ ce_fg ce_bg) 6) 6))",                              Overflow),
    ("exploding on empty masks",                 "(^ (/ (sum abs_diff) (sum y)) 3)",                                Overflow),
    ("exploding on full masks",                  "(^ (/ (sum abs_diff) (sum (- 1 y))) 3)",                          Overflow),
    ("overlap is punished",                      "(mean (+ tp fp))",                                                WrongSign),
    ("pushes everything down",                   "(+ (mean p) (* 0.1 (mean (* fp y))))",                            WrongSign),
    ("reversed on the foreground",               "(mean (- ce_bg ce_fg))",                                          WrongSign),
    ("reversed on the background",               "(- (mean ce_fg) (mean (^ fp 2)))",                                WrongSign),
    ("reversed where it is confident",           "(mean (* abs_diff (- 0.6 abs_diff)))",                            WrongSign),
    ("wants a probability of a half",            "(mean (* (- abs_diff 0.5) (- abs_diff 0.5)))",                    WrongSign),
    ("oscillates with the error",                "(mean (* abs_diff (* (- abs_diff 0.3) (* (- abs_diff 0.6) (- abs_diff 0.9)))))", WrongSign),
    ("target by its volume alone",               "(* (mean (+ p neg_log_q)) (mean (+ y 1)))",                       WrongSign),
    ("wants the right volume, anywhere",         "(* (- (mean p) (mean y)) (- (mean p) (mean y)))",                 WrongSign),
    ("the gradient explodes, the loss cancels",  "(sum (* 3e38 (- (* 16 abs_diff) 8)))",                            GradientOverflow),
    ("infinite on an ordinary probe",            "(^ (mean (+ ce_fg (* 1e200 ce_bg))) 2)",                          Overflow),
    ("balances what free voxels need not",       "(ratio (sum tp) (sum fp))",                                       Stuck),
    ("the mean error of a rare class",           "(^ (mean abs_diff) 8)",                                           Stuck),
    ("a hundredth of the voxels at a time",      "(mean_top 0.3 abs_diff)",                                         Stuck),
    ("saturating: the worst voxels of the worst", "(mean (^ abs_diff 40))",                                         Uneven),
    ("one voxel decides",                        "(mean (^ (+ ce_fg ce_bg) 20))",                                   Uneven),
];

#[test]
fn what_is_known_to_be_bad_is_rejected_by_the_gate_that_should() {
    let gates = Gates::default();
    let mut wrong = Vec::new();
    for (name, text, expected) in BAD {
        let found = verdict(&gates, &text.parse().unwrap_or_else(|fault| panic!("{text}: {fault}")));
        if found != Err(*expected) {
            wrong.push(format!("{name}: {text} should be {expected:?}, but is {found:?}"));
        }
    }
    assert!(BAD.len() >= 30 && wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_loss_that_is_written_the_wrong_way_round_is_turned_around() {
    let gates = Gates::default();
    let passed = gates.look(&"(mean (- 1 abs_diff))".parse().unwrap()).unwrap();
    assert_eq!((passed.repaired, passed.formula.to_string().as_str()), (true, "(* -1 (mean (- 1 abs_diff)))"));
    let again = gates.look(&passed.formula).unwrap();
    assert!(!again.repaired);
    assert_eq!(again.direction, passed.direction);
    assert!(gates.descend(&passed).unwrap().unwrap() > 0.9);
}

/// Nearly every sentence of the default grammar is a loss that moves free predictions to their targets; a quarter of them
/// fails where voxels have to agree.
#[test]
fn the_default_grammar_passes_but_for_what_finds_no_compromise() {
    let (gates, grammar) = (Gates::default(), Grammar::polarity().tame().unwrap());
    let [mut looked, mut free, mut passed] = [0; 3];
    for slot in 0..200 {
        let loss = grammar.sample_loss(16, &mut stream(19, Purpose::Birth, 0, slot)).canonical();
        let Ok(found) = gates.look(&loss) else { continue };
        looked += 1;
        let plan = Plan::new(&loss);
        let factor = gradient_factor(&plan);
        free += usize::from((1..3).all(|start| share(&plan, factor, start).is_ok_and(|share| share >= LEAST)));
        passed += usize::from(gates.descend(&found).is_ok());
    }
    assert!(looked >= 198 && free >= 194 && (140..170).contains(&passed), "{looked} {free} {passed}");
}

#[test]
fn gates_that_are_not_open_say_nothing() {
    let text = |text: &str| text.parse::<Formula>().unwrap();
    let none = Gates::new(Open::None);
    for (_, bad, why) in BAD {
        let passed = none.look(&text(bad)).unwrap_or_else(|found| panic!("{bad}: {found} {why}"));
        assert_eq!((passed.repaired, none.descend(&passed)), (false, Ok(None)), "{bad}");
    }
    // A value per voxel cannot be trained at all; no text of it can be read as a loss.
    assert_eq!(none.look(&text("(mean (+ ce_fg ce_bg))").subtree(1)), Err(NoLoss));
    let only = Gates::new(Open::Only(vec![Gate::Profile]));
    assert_eq!(only.look(&text("(mean ce_fg)")), Err(OneSided));
    // Beyond 64 bits, too.
    assert_eq!(only.look(&text("(^ (* 1e300 (sum (+ ce_fg ce_bg))) 4)")), Err(NotFinite));
    assert!(!none.look(&text("(mean (- 1 abs_diff))")).unwrap().repaired);
}

#[test]
fn what_is_looked_at_is_what_the_definition_says() {
    let (gates, grammar, probes) = (Gates::default(), Grammar::polarity(), probes());
    let random = (0..300).map(|slot| grammar.sample_loss(25, &mut stream(20, Purpose::Birth, 0, slot)));
    for loss in random.chain(CATALOG.iter().map(Entry::formula)) {
        let Ok(passed) = gates.look(&loss) else { continue };
        let definition = direction(&answers(&Plan::new(&passed.formula), &probes)).unwrap();
        assert!(distance(&passed.direction.unwrap(), &definition) < 1e-5, "{loss}");
    }
}
