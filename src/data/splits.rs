//! `splits_final.json`, the file in which nnU-Net keeps its folds: a list of `{"train": [ids], "val": [ids]}`.
//!
//! What is read is held to the rule of [`super::folds`]: every case is tested exactly once, and never by a model that saw
//! it. Training sets are taken as they stand, because a person may leave cases out of them on purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::folds::Fold;
use crate::fault::{Fault, Result, did_you_mean};

/// A fold by ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedFold {
    /// Cases to train on.
    pub train: Vec<String>,
    /// Cases to test on; nnU-Net calls this validation.
    pub val: Vec<String>,
}

/// Folds by the ids of their cases, sorted.
pub fn named(folds: &[Fold], ids: &[String]) -> Vec<NamedFold> {
    let names = |places: &[usize]| {
        let mut names: Vec<String> = places.iter().map(|place| ids[*place].clone()).collect();
        names.sort();
        names
    };
    folds.iter().map(|fold| NamedFold { train: names(&fold.train), val: names(&fold.test) }).collect()
}

/// The text of a file with these folds.
///
/// # Errors
/// None that a person can cause.
pub fn to_text(folds: &[NamedFold]) -> Result<String> {
    let text = serde_json::to_string_pretty(folds);
    Ok(text.map_err(|error| Fault::failed(format!("cannot write folds: {error}")))? + "\n")
}

/// Reads folds.
///
/// # Errors
/// If the file cannot be read or understood.
pub fn read(path: &Path) -> Result<Vec<NamedFold>> {
    let text = std::fs::read_to_string(path).map_err(|error| Fault::io("read", path, &error))?;
    serde_json::from_str(&text).map_err(|error| {
        Fault::new("folds cannot be understood")
            .file(path)
            .expected("[{\"train\": [ids], \"val\": [ids]}, ...], as nnU-Net's splits_final.json")
            .found(error)
            .hint("`lossgen data split DIR --folds K --out splits_final.json` writes such a file")
    })
}

/// The folds of the cases `ids`, of which the dataset has `known` in all: ids of the file that are known and not among
/// the cases (a search has seen them) are left out.
///
/// # Errors
/// If an id is unknown, a case is tested twice, trained on in the fold that tests it, or in none of several test sets, or a
/// fold is left without cases.
pub fn places(folds: &[NamedFold], ids: &[String], known: &[String]) -> Result<Vec<Fold>> {
    let place: BTreeMap<&str, usize> = ids.iter().enumerate().map(|(place, id)| (id.as_str(), place)).collect();
    let mut tested: BTreeMap<&str, usize> = BTreeMap::new();
    let mut result = Vec::with_capacity(folds.len());
    if folds.is_empty() {
        return Err(Fault::new("folds are too few").field("folds").expected("at least 1").found(0).hint(HINT));
    }
    for (number, fold) in folds.iter().enumerate() {
        let test: BTreeSet<&String> = fold.val.iter().collect();
        for id in fold.train.iter().chain(&fold.val) {
            if !known.contains(id) {
                let near = did_you_mean(id, known.iter().map(String::as_str));
                return Err(Fault::new("folds name a case that the dataset has not")
                    .field(format!("fold {number}"))
                    .expected(format!("ids of the {} cases", known.len()))
                    .found(format!("`{id}`"))
                    .hint(near.map_or(HINT.to_string(), |near| format!("did you mean `{near}`?"))));
            }
        }
        if let Some(both) = fold.train.iter().find(|id| test.contains(id)) {
            return Err(Fault::new("a fold tests a case that it trains on")
                .field(format!("fold {number}"))
                .expected("every case in `train` or in `val`")
                .found(format!("`{both}` in both"))
                .hint(HINT));
        }
        for id in &fold.val {
            if let Some(earlier) = tested.insert(id, number) {
                return Err(Fault::new("a case is tested twice")
                    .field(format!("fold {number}"))
                    .expected("every case in one `val`")
                    .found(format!("`{id}`, also in fold {earlier}"))
                    .hint(
                        "repeated cross-validation counts a person several times; give the repetitions one at a time",
                    ));
            }
        }
        let of = |names: &[String]| -> Vec<usize> {
            let places: BTreeSet<usize> = names.iter().filter_map(|id| place.get(id.as_str()).copied()).collect();
            places.into_iter().collect()
        };
        let fold = Fold { train: of(&fold.train), test: of(&fold.val) };
        if fold.train.is_empty() || fold.test.is_empty() {
            let which = if fold.train.is_empty() { "train" } else { "val" };
            return Err(Fault::new("a fold is left without cases")
                .field(format!("fold {number}, {which}"))
                .expected("at least one case that the search has not seen")
                .found("none")
                .hint(HINT));
        }
        result.push(fold);
    }
    // One fold is a fixed split: who trains in it is not tested.
    let untested = ids.iter().find(|id| !tested.contains_key(id.as_str()));
    if let (Some(id), 2..) = (untested, folds.len()) {
        return Err(Fault::new("a case is in no test set")
            .field("val")
            .expected("every case in one `val`")
            .found(format!("`{id}` in none"))
            .hint(HINT));
    }
    Ok(result)
}

const HINT: &str = "write new folds for these cases with `lossgen data split`";

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn fold(train: &[&str], val: &[&str]) -> NamedFold {
        NamedFold { train: ids(train), val: ids(val) }
    }

    #[test]
    fn what_is_written_reads_back_in_the_form_of_nnunet() {
        let all = ids(&["b", "a", "c", "d"]);
        let folds = [Fold { train: vec![0, 1], test: vec![2, 3] }, Fold { train: vec![2, 3], test: vec![0, 1] }];
        let named = named(&folds, &all);
        let text = to_text(&named).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            json,
            serde_json::json!([{"train": ["a", "b"], "val": ["c", "d"]}, {"train": ["c", "d"], "val": ["a", "b"]}])
        );
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("s.json"), &text).unwrap();
        assert_eq!(places(&read(&home.path().join("s.json")).unwrap(), &all, &all).unwrap(), folds);
        std::fs::write(home.path().join("s.json"), "{\"train\": []}").unwrap();
        assert!(read(&home.path().join("s.json")).unwrap_err().to_string().contains("splits_final.json"));
    }

    #[test]
    fn folds_that_would_judge_wrongly_are_refused() {
        let all = ids(&["case_1", "case_2", "case_3"]);
        let good = [fold(&["case_1", "case_2"], &["case_3"]), fold(&["case_3"], &["case_1", "case_2"])];
        let with = |change: fn(&mut Vec<NamedFold>)| {
            let mut folds = good.to_vec();
            change(&mut folds);
            let fault = places(&folds, &all, &all).unwrap_err();
            format!("{fault} {}", miette::Diagnostic::help(&fault).unwrap())
        };
        assert!(with(|f| f[0].train[0] = "cas_1".into()).contains("did you mean `case_1`?"));
        assert!(with(|f| f[0].train.push("case_3".into())).contains("`case_3` in both"));
        assert!(with(|f| f[0].val.push("case_1".into())).contains("`case_1` in both"));
        assert!(
            with(|f| {
                f[1].val.push("case_3".into());
                f[1].train = vec![];
            })
            .contains("also in fold 0")
        );
        assert!(with(|f| drop(f[1].val.pop())).contains("`case_2` in none"));
        assert!(with(Vec::clear).contains("at least 1"));
        assert_eq!(places(&good[..1], &all, &all).unwrap().len(), 1);
        assert!(with(|f| f[1].train.clear()).contains("fold 1, train"));
    }

    #[test]
    fn cases_that_a_search_has_seen_are_left_out() {
        let all = ids(&["a", "b", "c", "d"]);
        let folds = [fold(&["a", "b"], &["c", "d"]), fold(&["c", "d"], &["a", "b"])];
        let unseen = ids(&["b", "d"]);
        let found = places(&folds, &unseen, &all).unwrap();
        assert_eq!(found, [Fold { train: vec![0], test: vec![1] }, Fold { train: vec![1], test: vec![0] }]);
        assert!(places(&folds, &ids(&["a", "b"]), &all).unwrap_err().to_string().contains("left without cases"));
    }
}
