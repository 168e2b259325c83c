//! `lossgen data check`: all cases and all that is wrong with them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::super::user_cache;
use super::{Common, Term, by, short, table};
use crate::data::check::{Facts, Finding, Report, Severity, check, copy_geometry};
use crate::fault::{Fault, Result};

/// Cases of one finding that are printed without `--verbose`.
const LISTED: usize = 10;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The dataset: Medical Segmentation Decathlon, nnU-Net raw, BIDS derivatives, or images/ and labels/
    folder: PathBuf,
    /// Write all masks to --out, those with a wrong header with the header of their image; the dataset is not changed
    #[arg(long, value_name = "FROM")]
    copy_geometry: Option<Source>,
    /// Check again, also if the very same files have been checked before
    #[arg(long)]
    fresh: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Source {
    /// The image of each case
    Image,
}

pub(super) fn run(arguments: &Arguments, common: &Common, term: &Term) -> Result<()> {
    if let Some(Source::Image) = arguments.copy_geometry {
        return mend(arguments, common, term);
    }
    let verdicts = user_cache(VERDICTS);
    let bar = std::cell::OnceCell::new();
    let mut progress = |done: usize, count: usize| {
        bar.get_or_init(|| term.bar(count as u64, "checking")).set_position(done as u64);
    };
    let kept = verdicts.as_deref().filter(|_| !arguments.fresh);
    let (report, known) = check(&arguments.folder, kept, &mut progress)?;
    if let Some(bar) = bar.get() {
        bar.finish_and_clear();
    }
    if known {
        term.say("these files have been checked before (--fresh checks again)");
    }
    term.result(&if common.json { json(&report)? } else { text(&report, common.verbose) });
    if report.is_usable() {
        return Ok(());
    }
    let cases: std::collections::BTreeSet<&Option<String>> =
        report.findings.iter().filter(|f| f.severity == Severity::Unusable).map(|f| &f.case).collect();
    let kinds: std::collections::BTreeSet<&String> =
        report.findings.iter().filter(|f| f.severity == Severity::Unusable).map(|f| &f.what).collect();
    let cure = match (kinds.len(), report.findings.iter().find(|f| f.severity == Severity::Unusable)) {
        (1, Some(Finding { hint: Some(hint), .. })) => hint.as_str(),
        _ => "mend these cases or move them away; the report says how to mend each",
    };
    Err(Fault::new("dataset cannot be used as it is")
        .file(&arguments.folder)
        .expected(format!("{} cases without what is marked as unusable", report.count))
        .found(format!("{} of them with it", cases.len()))
        .hint(cure))
}

/// Where verdicts are kept.
const VERDICTS: &str = "check";

/// Looks at a dataset before it is trained on; what has been looked at before costs a reading of its bytes. Warnings are
/// told in a line, and what is unusable case by case.
///
/// # Errors
/// If something is unusable: that itself where it is one thing, else how many there are.
pub(in crate::cli) fn before_training(folder: &Path, term: &Term) -> Result<()> {
    let bar = std::cell::OnceCell::new();
    let mut progress = |done: usize, count: usize| {
        bar.get_or_init(|| term.bar(count as u64, "checking")).set_position(done as u64);
    };
    let (report, _) = check(folder, user_cache(VERDICTS).as_deref(), &mut progress)?;
    if let Some(bar) = bar.get() {
        bar.finish_and_clear();
    }
    let all = format!("`lossgen data check {}`", folder.display());
    let unusable: Vec<&Finding> =
        report.findings.iter().filter(|finding| finding.severity == Severity::Unusable).collect();
    match unusable.as_slice() {
        [] => {}
        [only] => return Err(only.fault()),
        several => {
            several.iter().take(LISTED).for_each(|finding| term.fault(&finding.fault()));
            let above = if several.len() > LISTED {
                format!("the first {LISTED} of them above")
            } else {
                "each told above".into()
            };
            return Err(Fault::new("dataset cannot be used as it is")
                .file(folder)
                .expected("cases without what the check marks as unusable")
                .found(format!("{}, {above}", many(several.len(), "finding")))
                .hint(format!("mend these cases or move them away; {all} tells all of them")));
        }
    }
    let warnings = report.count_of(Severity::Warning);
    if warnings > 0 {
        term.say(&format!("the data can be used; {}, see {all}", many(warnings, "warning")));
    }
    Ok(())
}

fn mend(arguments: &Arguments, common: &Common, term: &Term) -> Result<()> {
    let Some(out) = &common.out else {
        return Err(Fault::new("masks need a folder to go to")
            .field("--out")
            .expected("a folder, together with --copy-geometry")
            .found("none")
            .hint("the dataset is never changed; add `--out FOLDER` and use that folder in place of the masks"));
    };
    let mended = copy_geometry(&arguments.folder, out)?;
    term.result(&if common.json {
        serde_json::json!({"folder": out, "mended": mended}).to_string()
    } else {
        let names = mended.iter().map(|path| format!("  {}\n", path.display())).collect::<String>();
        let count = mended.len();
        format!("all masks are in {}, {count} of them with the header of their image:\n{names}", out.display())
    });
    Ok(())
}

fn json(report: &Report) -> Result<String> {
    let mut value = serde_json::to_value(report)
        .map_err(|error| Fault::failed(format!("cannot write the report as JSON: {error}")))?;
    value["usable"] = report.is_usable().into();
    value["unusable"] = report.count_of(Severity::Unusable).into();
    value["warnings"] = report.count_of(Severity::Warning).into();
    Ok(value.to_string())
}

/// The table of all cases, then every finding in full.
fn text(report: &Report, verbose: bool) -> String {
    let several = report.channels.len() > 1;
    let names: Vec<String> = report.classes.iter().map(|(value, name)| format!("{value} {name}")).collect();
    let mut text = format!("{} ({}), {} cases; labels: {}", report.name, report.layout, report.count, names.join(", "));
    if several {
        text.push_str(&format!("; channels: {}", report.channels.join(", ")));
    }
    let intensity = if several { "intensities, first channel" } else { "intensities" };
    let head = ["case", "voxels", "mm", "axes", intensity, "labels", "foreground %", "verdict"];
    let rows = rows(report);
    let is_number = |column: usize| column == 6;
    text.push_str(&format!("\n\n{}\n\n", table(head.map(String::from).to_vec(), rows, is_number)));
    for group in groups(&report.findings) {
        text.push_str(&group_text(&group, verbose));
    }
    let shares: Vec<f64> = report.cases.iter().filter_map(|facts| facts.foreground).collect();
    let mean = match shares.len() {
        0 => "foreground unknown: no mask can be read".to_string(),
        count => format!("foreground {} % on average", short(100.0 * shares.iter().sum::<f64>() / count as f64)),
    };
    let (unusable, warnings) = (report.count_of(Severity::Unusable), report.count_of(Severity::Warning));
    let verdict = match (unusable, warnings) {
        (0, 0) => "nothing is wrong with it".to_string(),
        (0, n) => format!("it can be used; {}", many(n, "warning")),
        (m, n) => {
            let are = if m == 1 { "is" } else { "are" };
            format!("it cannot be used as it is: {} {are} in the way; {}", many(m, "finding"), many(n, "warning"))
        }
    };
    text.push_str(&format!("{mean}\ndigest {}\n{verdict}\n", report.digest));
    text
}

fn many(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn rows(report: &Report) -> Vec<Vec<String>> {
    let mut ids: Vec<&str> = report.cases.iter().map(|facts| facts.id.as_str()).collect();
    ids.extend(report.findings.iter().filter_map(|finding| finding.case.as_deref()));
    ids.sort_unstable();
    ids.dedup();
    let facts: BTreeMap<&str, &Facts> = report.cases.iter().map(|facts| (facts.id.as_str(), facts)).collect();
    let row = |id: &str| {
        let about = |severity| {
            report.findings.iter().filter(|f| f.case.as_deref() == Some(id) && f.severity == severity).count()
        };
        let verdict = match (about(Severity::Unusable), about(Severity::Warning)) {
            (0, 0) => "ok".to_string(),
            (0, n) => many(n, "warning"),
            _ => "unusable".to_string(),
        };
        let mut row = vec![id.to_string()];
        match facts.get(id) {
            Some(facts) => {
                let values: Vec<String> = facts.labels.keys().map(ToString::to_string).collect();
                let channel = facts.channels[0];
                row.extend([
                    by(&facts.shape),
                    by(&facts.spacing_mm),
                    facts.axes.clone(),
                    format!("{} to {}", short(f64::from(channel.low)), short(f64::from(channel.high))),
                    values.join(" "),
                    facts.foreground.map_or(String::new(), |share| format!("{:.2}", 100.0 * share)),
                ]);
            }
            None => row.extend(["", "", "", "", "", ""].map(String::from)),
        }
        row.push(verdict);
        row
    };
    ids.into_iter().map(row).collect()
}

/// Findings of the same kind together: what cannot be used first, then in the order of cases.
fn groups(findings: &[Finding]) -> Vec<Vec<&Finding>> {
    let mut groups: BTreeMap<(Severity, usize), Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        let first = findings.iter().position(|other| other.what == finding.what).unwrap_or(0);
        groups.entry((finding.severity, first)).or_default().push(finding);
    }
    groups.into_values().collect()
}

fn group_text(group: &[&Finding], verbose: bool) -> String {
    let kind = if group[0].severity == Severity::Unusable { "unusable" } else { "warning" };
    let mut text = format!("{kind}: {}\n", group[0].what);
    let shown = if verbose { group.len() } else { LISTED };
    for finding in group.iter().take(shown) {
        let place = finding.case.as_deref().or(finding.file_name()).unwrap_or("dataset");
        let field = finding.field.as_ref().map_or(String::new(), |field| format!(", {field}"));
        text.push_str(&format!("  {place}{field}\n"));
        let file = finding.file.as_ref().map(|file| ("file", file));
        let parts =
            [file, finding.expected.as_ref().map(|t| ("expected", t)), finding.found.as_ref().map(|t| ("found", t))];
        for (name, part) in parts.into_iter().flatten() {
            text.push_str(&format!("    {:<9} {part}\n", format!("{name}:")));
        }
    }
    if group.len() > shown {
        text.push_str(&format!("  and {} more (--verbose lists them)\n", group.len() - shown));
    }
    // The advice is that of the kind; where it names a case, it is an example.
    text + &group[0].hint.as_ref().map_or("\n".to_string(), |hint| format!("  help: {hint}\n\n"))
}
