//! Documents that the program writes are those in the repository.

use std::path::PathBuf;

use lossgen::report::catalog::{PICTURES, page};

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs")
}

#[test]
fn the_page_about_losses_is_what_the_program_writes() {
    let found = std::fs::read_to_string(docs().join("losses.md")).unwrap();
    let differs = found.lines().zip(page().lines().map(String::from)).find(|(found, wanted)| found != wanted);
    assert_eq!(differs, None, "run `lossgen loss docs docs`");
    assert_eq!(found, page(), "run `lossgen loss docs docs`");
}

/// Only that they are there: the last digit of a number may differ between machines.
#[test]
fn the_page_about_losses_has_its_pictures() {
    let page = page();
    let mut pictures: Vec<String> = page
        .split(['"', '(', ')'])
        .filter_map(|part| part.strip_prefix(PICTURES)?.strip_prefix('/').map(String::from))
        .collect();
    pictures.sort();
    let folder = std::fs::read_dir(docs().join(PICTURES)).unwrap();
    let mut found: Vec<String> = folder.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    found.sort();
    assert_eq!(found, pictures);
    for name in pictures {
        let text = std::fs::read_to_string(docs().join(PICTURES).join(&name)).unwrap();
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"), "{name}");
        assert!(!text.contains("NaN") && !text.contains("inf ") && !text.contains("<script"), "{name}");
        assert!(text.len() < 60_000, "{name} has {} bytes", text.len());
    }
}
