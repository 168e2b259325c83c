//! What documents show is what happens: every block of a console is executed, or says why not.
//!
//! A block is executed as it stands, command by command, in a scratch folder of its page; lines that it shows must occur in
//! the output, in their order (`...` stands for any number of others, or for the rest of a line), and a command that shows an error must fail. A block
//! that is not to be executed has a line before it: `<!-- not run: the reason -->`.

use std::path::{Path, PathBuf};
use std::process::Command;

use lossgen::data::nifti;

/// Makes what a page takes for granted, in its scratch folder.
type Prepare = fn(&Path);

/// Pages, and what has to be there before their first command. Pages without a row may have blocks that are not run only.
const PAGES: [(&str, Prepare); 5] = [
    ("README.md", nothing),
    ("docs/getting-started.md", nothing),
    ("docs/how-to.md", phantoms),
    ("docs/reference/data.md", damaged),
    ("docs/reference/grammar.md", nothing),
];

fn nothing(_: &Path) {}

fn phantoms(home: &Path) {
    shell(home, "lossgen data phantom mydata --cases 9 --shape 16 16 12");
}

/// The dataset of the page about data: a header that is wrong, a file that is cut off, a slice that was forgotten.
fn damaged(home: &Path) {
    shell(home, "mkdir x && touch x/a.dcm && lossgen data phantom set --cases 6");
    let set = home.join("set");
    let mask = |case: &str| set.join(format!("labelsTr/phantom_{case}.nii.gz"));
    let mut moved = nifti::read_label(&mask("0002")).unwrap();
    moved.grid.affine[0][3] = 55.0;
    nifti::write_new_label(&mask("0002"), &moved).unwrap();
    let image = set.join("imagesTr/phantom_0004.nii.gz");
    let bytes = std::fs::read(&image).unwrap();
    std::fs::write(&image, &bytes[..bytes.len() / 2]).unwrap();
    let mut forgotten = nifti::read_label(&mask("0005")).unwrap();
    forgotten.voxels.iter_mut().skip(12).step_by(24).for_each(|voxel| *voxel = 0);
    nifti::write_new_label(&mask("0005"), &forgotten).unwrap();
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A block of a console: where it begins, why it is not run, and its lines.
struct Block {
    line: usize,
    not_run: Option<String>,
    lines: Vec<String>,
}

fn blocks(text: &str) -> Vec<Block> {
    let lines: Vec<&str> = text.lines().collect();
    let begins = (0..lines.len()).filter(|at| lines[*at].trim() == "```console");
    let block = |at: usize| {
        let before = lines[..at].iter().rev().find(|line| !line.trim().is_empty());
        let reason = before.and_then(|line| line.trim().strip_prefix("<!-- not run:")?.strip_suffix("-->"));
        let inside = lines[at + 1..].iter().take_while(|line| line.trim() != "```");
        Block {
            line: at + 1,
            not_run: reason.map(|reason| reason.trim().to_string()),
            lines: inside.map(|line| (*line).to_string()).collect(),
        }
    };
    begins.map(block).collect()
}

/// All pages of the repository, by their way from its root.
fn pages() -> Vec<String> {
    let mut found: Vec<String> = ["README.md", "CONTRIBUTING.md", "benches/README.md"].map(String::from).to_vec();
    let mut open = vec![root().join("docs")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

fn read(page: &str) -> String {
    std::fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// Runs a line; what it printed, and whether it succeeded.
fn shell(home: &Path, line: &str) -> (String, bool) {
    let program = Path::new(env!("CARGO_BIN_EXE_lossgen")).parent().unwrap();
    let path = std::env::join_paths(
        std::iter::once(program.to_path_buf()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1\n{line}")])
        .current_dir(home)
        .env("PATH", path.unwrap())
        .env("XDG_CACHE_HOME", home.join(".cache"))
        .output()
        .unwrap();
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
}

/// The first line that is shown and not printed; `...` at the end of a line stands for the rest of it.
fn missing<'a>(shown: &[&'a str], printed: &str) -> Option<&'a str> {
    let mut rest = printed.lines().map(str::trim_end);
    let is = |line: &str, other: &str| match line.trim_end().strip_suffix("...") {
        Some(start) => other.starts_with(start),
        None => other == line.trim_end(),
    };
    shown.iter().copied().filter(|line| line.trim() != "...").find(|line| !rest.any(|other| is(line, other)))
}

fn run(page: &str, prepare: Prepare) {
    let home = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root().join("configs"), home.path().join("configs")).unwrap();
    prepare(home.path());
    for block in blocks(&read(page)).into_iter().filter(|block| block.not_run.is_none()) {
        let mut commands: Vec<(String, Vec<&str>)> = Vec::new();
        for line in &block.lines {
            match (line.strip_prefix("$ "), line.strip_prefix("> "), commands.last_mut()) {
                (Some(command), _, _) => commands.push((command.to_string(), Vec::new())),
                // What a shell asks for before a command is complete.
                (None, Some(more), Some((command, shown))) if shown.is_empty() => *command += &format!("\n{more}"),
                (None, _, Some((_, shown))) => shown.push(line),
                (None, _, None) => panic!("{page}, line {}: a block begins with a command", block.line),
            }
        }
        for (command, shown) in commands {
            let (printed, succeeded) = shell(home.path(), &command);
            let place = format!("{page}, line {}: {command}\n{printed}", block.line);
            let fails = shown.iter().any(|line| line.starts_with("error: "));
            assert_eq!(succeeded, !fails, "{place}");
            assert_eq!(missing(&shown, &printed), None, "{place}");
        }
    }
}

#[test]
fn every_block_is_executed_or_says_why_not() {
    for page in pages() {
        let is_run = PAGES.iter().any(|(known, _)| *known == page);
        for block in blocks(&read(&page)) {
            match &block.not_run {
                Some(reason) => assert!(reason.len() > 5, "{page}, line {}: no reason", block.line),
                None => assert!(is_run, "{page}, line {}: neither executed nor with a reason", block.line),
            }
        }
    }
    for (page, _) in PAGES {
        assert!(blocks(&read(page)).iter().any(|block| block.not_run.is_none()), "{page} has nothing to execute");
    }
}

#[test]
fn blocks_show_what_happens() {
    std::thread::scope(|scope| {
        let pages = PAGES.map(|(page, prepare)| (page, scope.spawn(move || run(page, prepare))));
        for (page, thread) in pages {
            if let Err(panic) = thread.join() {
                let message = panic.downcast_ref::<String>().map_or("a panic", String::as_str);
                panic!("{page}: {message}");
            }
        }
    });
}

/// Links inside of the repository lead somewhere.
#[test]
fn links_lead_to_files() {
    for page in pages() {
        let text = read(&page);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or("");
            if target.is_empty() || target.contains("://") || target.contains(' ') {
                continue;
            }
            let place = root().join(&page).parent().unwrap().join(target);
            assert!(place.exists(), "{page} links to {target}");
        }
    }
}

#[test]
fn lines_are_found_in_order_only() {
    assert_eq!(missing(&["a", "...", "c"], "a  \nb\nc\n"), None);
    assert_eq!(missing(&["c", "a"], "a\nb\nc\n"), Some("a"));
    assert_eq!(missing(&["digest 1..."], "digest 2f\ndigest 1e\n"), None);
    assert_eq!(missing(&["digest 3..."], "digest 2f\ndigest 1e\n"), Some("digest 3..."));
    let text = "x\n\n<!-- not run: needs a GPU -->\n```console\n$ a\n```\n\n```console\n$ b\nc\n```\n";
    let found = blocks(text);
    assert_eq!(found[0].not_run.as_deref(), Some("needs a GPU"));
    assert!(found[1].not_run.is_none() && found[1].lines == ["$ b", "c"]);
}
