//! The architecture, executed: who may import whom, and what every file must have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Folder (or file) of `src/` and what of this crate it may import.
#[rustfmt::skip]
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("fault",     &[]),
    ("rng",       &[]),
    ("notation",  &["fault"]),
    ("phase",     &[]),
    ("run",       &["fault"]),
    ("formula",   &["fault", "volume"]),
    ("grammar",   &["fault", "formula", "notation"]),
    ("losses",    &["fault", "formula", "volume"]),
    ("gates",     &["fault", "formula", "losses", "volume"]),
    ("report",    &["fault", "formula", "losses", "stats", "volume"]),
    ("export",    &["formula", "rng"]),
    ("atlas",     &["fault", "formula", "gates", "grammar", "losses", "notation", "rng"]),
    ("evolution", &["atlas", "fault", "formula", "gates", "grammar", "losses", "notation", "rng", "run", "stats"]),
    ("volume",    &["fault"]),
    ("data",      &["fault", "phase", "rng", "run", "volume"]),
    ("stats",     &["fault"]),
    ("metrics",   &["fault", "stats", "volume"]),
    ("nn",        &["fault", "formula", "rng"]),
    ("training",  &["data", "evolution", "fault", "formula", "gates", "losses", "metrics", "nn", "notation", "phase", "rng", "run", "volume"]),
    ("cli",       &["atlas", "data", "evolution", "export", "fault", "formula", "gates", "grammar", "losses", "metrics", "nn", "notation", "phase", "report", "rng", "run", "stats", "training", "volume"]),
];

/// Tests of a module may use seeds and the catalog.
const ALSO_IN_TESTS: &[&str] = &["rng", "losses", "grammar", "data", "volume"];

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

/// A text without its comments, cut into what ships and the module of tests at its end.
fn code_and_tests(name: &str, text: &str) -> (String, String) {
    let code: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|l| l.to_owned() + "\n").collect();
    if name.ends_with("tests.rs") || name.ends_with("real.rs") {
        return (String::new(), code);
    }
    // A module of tests in a file of its own (`mod tests;`) cuts nothing off.
    let begins = |at: &usize| {
        let item = code[*at..].lines().find(|line| !line.trim_start().starts_with("#["));
        item.is_some_and(|item| item.contains("mod ") && item.trim_end().ends_with('{'))
    };
    let cut = code.match_indices("#[cfg(test)]").map(|(at, _)| at).find(begins).unwrap_or(code.len());
    (code[..cut].to_string(), code[cut..].to_string())
}

/// The modules of this crate that a text names, also those in `use crate::{a, b::{c, d}}`.
fn imports(code: &str) -> BTreeSet<String> {
    let word = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = BTreeSet::new();
    for (at, path) in code.match_indices("crate::") {
        let rest = &code[at + path.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(word(rest));
            continue;
        };
        let (mut depth, mut begins) = (0, true);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' => begins = depth == 0,
                c if c.is_whitespace() => {}
                _ if begins => {
                    names.insert(word(&group[at..]));
                    begins = false;
                }
                _ => {}
            }
        }
    }
    names.remove("");
    names
}

/// Whether a text names an external crate, as `use name::` or `::name::`, and not a module of the same name.
fn names_crate(code: &str, name: &str) -> bool {
    let is_part_of_a_path = |root: &str| root.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '>');
    code.match_indices(&format!("{name}::")).any(|(at, _)| match code[..at].strip_suffix("::") {
        Some(root) => !is_part_of_a_path(root),
        None => code[..at].trim_end().ends_with("use"),
    })
}

#[test]
fn the_rules_see_what_they_are_to_see() {
    let found = |code: &str| imports(code).into_iter().collect::<Vec<_>>();
    assert_eq!(
        found("use crate::{rng, data::{folds, npy}, nn};\nlet x = crate::run::replace;"),
        ["data", "nn", "rng", "run"]
    );
    assert!(names_crate("use nifti::Reader;", "nifti") && names_crate("use ::nifti::Reader;", "nifti"));
    assert!(names_crate("let x = ::nifti::open();", "nifti"));
    assert!(!names_crate("use super::nifti::read;", "nifti") && !names_crate("nifti::read_image(p)", "nifti"));
    let (code, tests) =
        code_and_tests("a.rs", "#[cfg(test)]\nmod tests;\nfn f() {}\n#[cfg(test)]\n#[expect(x)]\nmod tests {\n}");
    assert!(code.contains("fn f") && tests.contains("#[expect(x)]") && !code.contains("expect"));
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
        let (code, tests) = code_and_tests(&name, &text);
        for import in imports(&code) {
            if import != place && !allowed.contains(&import.as_str()) {
                trouble.push(format!("{name} imports {import}"));
            }
        }
        for import in imports(&tests) {
            if import != place && !allowed.contains(&import.as_str()) && !ALSO_IN_TESTS.contains(&import.as_str()) {
                trouble.push(format!("tests of {name} import {import}"));
            }
        }
    }
    assert!(trouble.is_empty(), "{}", trouble.join("\n"));
}

#[test]
fn single_places_stay_single() {
    let mut nifti = Vec::new();
    for (name, text) in sources() {
        let (code, tests) = code_and_tests(&name, &text);
        let uses = |what: &str| code.contains(what);
        assert!(
            !uses("evolution::") || !name.starts_with("training/") || name == "training/proxy.rs",
            "{name}: only the proxy knows the search"
        );
        if names_crate(&(code.clone() + &tests), "nifti") {
            nifti.push(name.clone());
        }
        assert!(
            !names_crate(&code, "burn") || name.starts_with("nn/") || name.starts_with("training/"),
            "{name} knows the tensor library"
        );
        assert!(!uses("println!") && !uses("print!") && !uses("dbg!"), "{name} prints");
        assert!(!(uses("stdout()") || uses("stderr()")) || name == "cli/term.rs", "{name} writes to the terminal");
        assert!(!(uses("SystemTime") || uses("Instant::now")) || name == "cli/stopwatch.rs", "{name} reads the clock");
    }
    assert_eq!(nifti, ["data/nifti.rs"], "exactly one file knows the crate");
}

#[test]
fn every_file_says_what_it_is_and_is_no_longer_than_a_noun() {
    for (name, text) in sources() {
        assert!(name == "lib.rs" || text.starts_with("//! "), "{name} does not say what it is");
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{name} has {lines} lines");
    }
}
