//! What people type for strategies is read, written down and read again; slips are named.

use super::*;
use crate::losses::named;

fn parse(typed: &str) -> Result<Option<Strategy>> {
    Strategy::parse(typed, &|loss| named(loss))
}

#[test]
fn losses_alone_are_no_strategies() {
    for typed in ["dice", "tversky(fp_weight=0.4)", "(mean ce_fg)", "(+ dice ce)"] {
        assert_eq!(parse(typed).unwrap(), None, "{typed}");
    }
}

#[test]
fn losses_inside_may_have_settings_of_their_own() {
    let strategy = parse("rebalance(dice(batch=true), (+ ce boundary), start=0.1)").unwrap().unwrap();
    let Kind::Weighted { terms, weighting: Weighting::Rebalance(rule) } = &strategy.kind else { panic!() };
    assert!(terms[0].to_string().contains("sum_batch") && rule.start == 0.1 && rule.end == 0.99);
    assert_eq!(strategy.formula().unwrap().to_string(), format!("(+ {} {})", terms[0], terms[1]));
}

#[test]
fn every_strategy_has_an_example_that_is_read() {
    // A learned loss has no losses inside: its place is a run, which the command line reads.
    for entry in ENTRIES.iter().filter(|entry| entry.least > 0) {
        let strategy = parse(entry.example).unwrap().unwrap();
        assert_eq!(Strategy::read(entry.example, &strategy.text).unwrap(), strategy, "{}", strategy.text);
    }
    let Kind::Greedy { greedy, score, held_out, .. } =
        parse("greedy(focal(gamma=3), gamma, delta=0.5, score=dice, held_out=true)").unwrap().unwrap().kind
    else {
        panic!()
    };
    assert_eq!((greedy.parameters[0].value, greedy.delta, score, held_out), (3.0, 0.5, Judgement::Dice, true));
    let Kind::Weighted { weighting: Weighting::SoftAdapt(rule), .. } =
        parse("softadapt(dice, ce, priors=[2, 1])").unwrap().unwrap().kind
    else {
        panic!()
    };
    assert_eq!(rule.priors, [2.0, 1.0]);
}

#[test]
fn parameters_have_the_box_that_is_asked_for() {
    let strategy = parse("greedy(tversky, fn_weight, fp_weight=[0.1, 0.4])").unwrap().unwrap();
    let Kind::Greedy { greedy, .. } = &strategy.kind else { panic!() };
    let boxes: Vec<[f64; 2]> = greedy.parameters.iter().map(|p| [p.low, p.high]).collect();
    assert_eq!(boxes, [[0.1, 0.4], [0.05, 10.0]]);
    assert_eq!(Strategy::read(&strategy.name, &strategy.text).unwrap(), strategy, "{}", strategy.text);
    // One that is named is the only one that moves.
    let strategy = parse("greedy(tversky, fp_weight=[0.1, 0.4])").unwrap().unwrap();
    let Kind::Greedy { greedy, .. } = &strategy.kind else { panic!() };
    assert_eq!(greedy.parameters.len(), 1);
}

#[test]
fn slips_are_named_with_their_place() {
    let wrong = |typed: &str| parse(typed).unwrap_err().to_string();
    assert!(wrong("rebalance(dice)").contains("needs 2"));
    assert!(wrong("rebalance(dice, ce, boundary)").contains("two losses"));
    assert!(wrong("rebalance(dice, ce, begin=1)").contains("no setting"));
    assert!(wrong("rebalance(dice, ce, start=2)").contains("0 to 1"));
    assert!(wrong("softadapt(dice, ce, priors=[1])").contains("2 positive numbers"));
    assert!(wrong("softadapt(dice, ce, variant=best)").contains("loss_weighted"));
    assert!(wrong("greedy(ce)").contains("one to four"));
    for limits in ["[0.4, 0.9]", "[0.1, 20]", "[0.9, 0.1]", "[0.1]", "[a, b]", "[0.1"] {
        assert!(wrong(&format!("greedy(tversky, fp_weight={limits})")).contains("limits"), "{limits}");
    }
    assert!(wrong("greedy(tversky, gamma=[0, 1])").contains("no such parameter"));
    assert!(wrong("greedy(tversky, fp_weight=0.5)").contains("no setting"));
    assert!(wrong("cov(dice, ce, decay=1)").contains("0 to 0.999999"));
    assert!(wrong("greedy(tversky").contains("never closed"));
    // What would be taken and do nothing, or something else than was typed.
    for variant in ["original", "normalized", "loss_weighted"] {
        assert!(wrong(&format!("softadapt(dice, ce, variant={variant}, priors=[2, 1])")).contains("would do nothing"));
    }
    assert!(wrong("softadapt(dice, ce, every=5)").contains("would do nothing"));
    assert!(wrong("softadapt(dice, ce, variant=original, every=2.5)").contains("whole number from 2 to 6"));
    assert!(wrong("greedy(tversky, every=2.5)").contains("whole number"));
    assert!(wrong("rebalance(dice, ce, floor=0.2)").contains("would do nothing"));
    assert!(wrong("rebalance(dice, ce, form=convex, floor=0.2)").contains("would do nothing"));
    assert!(wrong("cov(dice, ce, decay=0.9, decay=0.8)").contains("set twice"));
    assert!(wrong("greedy(tversky, fp_weight=[0.1, 0.4], fp_weight=[0.2, 0.4])").contains("set twice"));
    assert!(wrong("learned(net=0.0.00000000)").contains("not a learned loss"));
    // A strategy inside of another, or where a loss has to stand.
    assert!(wrong("rebalance(greedy(tversky), dice)").contains("is a strategy"));
    assert!(wrong("cov(dice, dcie)").contains("unknown loss"));
}
