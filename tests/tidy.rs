//! The architecture, executed: who may import whom, and what every file must have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Folder (or file) of `src/` and what of this crate it may import.
#[rustfmt::skip]
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("fault",     &[]),
    ("rng",       &[]),
    ("notation",  &["fault"]),
    ("run",       &["fault"]),
    ("formula",   &["fault", "volume"]),
    ("grammar",   &["fault", "formula", "notation"]),
    ("losses",    &["fault", "formula", "volume"]),
    ("report",    &["formula", "losses"]),
    ("evolution", &["fault", "formula", "grammar", "losses", "notation", "rng", "run"]),
    ("volume",    &["fault"]),
    ("data",      &["fault", "rng", "volume"]),
    ("stats",     &["fault"]),
    ("metrics",   &["fault", "stats", "volume"]),
    ("nn",        &["fault", "rng"]),
    ("training",  &["data", "evolution", "fault", "formula", "losses", "metrics", "nn", "rng", "run", "volume"]),
    ("cli",       &["data", "evolution", "fault", "formula", "grammar", "losses", "metrics", "nn", "notation", "report", "rng", "run", "stats", "training", "volume"]),
];

/// Tests of a module may use seeds and the catalog.
const ALSO_IN_TESTS: &[&str] = &["rng", "losses", "data", "volume"];

/// Lines of a file above which it holds more than one noun.
const LONGEST: usize = 480;

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let name = |path: &Path| path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
    files(&root).iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

/// The modules of this crate that a text names, comments apart.
fn imports(text: &str) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let names = code.flat_map(|line| line.split("crate::").skip(1).map(str::to_string).collect::<Vec<_>>());
    let word = |rest: String| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    names.map(word).filter(|name| !name.is_empty()).collect()
}

#[test]
fn every_import_is_allowed() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let mut trouble = Vec::new();
    for (name, text) in sources() {
        let place = name.split('/').next().unwrap().trim_end_matches(".rs");
        if matches!(place, "lib" | "main") {
            continue;
        }
        let allowed = allowed.get(place).unwrap_or_else(|| panic!("`{place}` is missing in the table of this test"));
        let is_test_file = name.ends_with("tests.rs") || name.ends_with("real.rs");
        let (code, tests) = text.split_once("#[cfg(test)]").unwrap_or((&text, ""));
        let (code, tests) = if is_test_file { ("", text.as_str()) } else { (code, tests) };
        for import in imports(code) {
            if import != place && !allowed.contains(&import.as_str()) {
                trouble.push(format!("{name} imports {import}"));
            }
        }
        for import in imports(tests) {
            if import != place && !allowed.contains(&import.as_str()) && !ALSO_IN_TESTS.contains(&import.as_str()) {
                trouble.push(format!("tests of {name} import {import}"));
            }
        }
    }
    assert!(trouble.is_empty(), "{}", trouble.join("\n"));
}

#[test]
fn single_places_stay_single() {
    for (name, text) in sources() {
        let uses = |what: &str| text.lines().any(|line| line.contains(what) && !line.trim_start().starts_with("//"));
        assert!(
            !uses("evolution::") || !name.starts_with("training/") || name == "training/proxy.rs",
            "{name}: only the proxy knows the search"
        );
        assert!(!uses("use nifti::") || name == "data/nifti.rs", "{name}: only data/nifti.rs knows the crate");
        assert!(
            !uses("use burn::") || name.starts_with("nn/") || name.starts_with("training/"),
            "{name} knows the tensor library"
        );
        assert!(
            !(uses("println!") || uses("eprintln!"))
                || text.contains("#[cfg(test)]")
                || name.contains("tests")
                || name.contains("real"),
            "{name} prints"
        );
        assert!(
            !(uses("SystemTime") || uses("Instant::now")) || name == "cli/bench/stopwatch.rs",
            "{name} reads the clock"
        );
    }
}

#[test]
fn every_file_says_what_it_is_and_is_no_longer_than_a_noun() {
    for (name, text) in sources() {
        assert!(name == "lib.rs" || text.starts_with("//! "), "{name} does not say what it is");
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{name} has {lines} lines");
    }
}
