//! `lossgen data split`: folds that resemble each other, in nnU-Net's file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Common, Term, short, table};
use crate::data::layout::{Entry, Layout};
use crate::data::strata::{Member, stratified};
use crate::data::{nifti, splits, subjects};
use crate::fault::{Fault, Result, did_you_mean};
use crate::run::replace;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The dataset
    folder: PathBuf,
    /// Number of folds
    #[arg(long, value_name = "K", default_value_t = 5)]
    folds: usize,
    /// Table (CSV) with the columns `case` and `subject`: cases of one subject stay together
    #[arg(long, value_name = "FILE", conflicts_with = "subject_parts")]
    groups: Option<PathBuf>,
    /// The first N parts of an id, between underscores, name its subject: with 2, `knee_07_left` is `knee_07`
    #[arg(long, value_name = "N")]
    subject_parts: Option<usize>,
}

pub(super) fn run(arguments: &Arguments, common: &Common, term: &Term) -> Result<()> {
    let out = common.out.clone().unwrap_or_else(|| PathBuf::from("splits_final.json"));
    if out.exists() {
        return Err(Fault::new("there are folds already")
            .file(&out)
            .expected("a name that is free")
            .found("a file or folder")
            .hint("folds that were used must stay what they were; name another file with `--out`"));
    }
    let layout = Layout::read(&arguments.folder)?;
    let said = said(arguments, &layout)?;
    let bar = term.bar(layout.entries.len() as u64, "reading");
    let mut members = Vec::with_capacity(layout.entries.len());
    // One mask at a time: a split needs counts, not volumes.
    let mut masks = Vec::with_capacity(layout.entries.len());
    for (entry, subject) in layout.entries.iter().zip(&said) {
        let mask = nifti::read_label(&entry.label)?;
        let labelled = mask.voxels.iter().filter(|value| **value > 0).count();
        let labels: BTreeSet<u8> = mask.voxels.iter().copied().filter(|value| *value > 0).collect();
        let foreground = labelled as f64 / mask.voxels.len() as f64;
        masks.push(subjects::mask_digest(&mask));
        members.push(Member { id: entry.id.clone(), subject: subject.clone(), labels, foreground });
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut moved = 0;
    for (member, subject) in members.iter_mut().zip(subjects::joined(said, &masks)) {
        moved += usize::from(member.subject != subject);
        member.subject = subject;
    }
    if moved > 0 {
        let cases = if moved == 1 { "1 case counts".to_string() } else { format!("{moved} cases count") };
        term.say(&format!("{cases} as of the same subject as an earlier one, because their masks are equal"));
    }
    let seed = common.seed.unwrap_or(1);
    let folds = stratified(&members, arguments.folds, seed)?;
    let ids: Vec<String> = members.iter().map(|member| member.id.clone()).collect();
    let named = splits::named(&folds, &ids);
    let text = splits::to_text(&named)?;
    replace(&out, text.as_bytes())?;
    if common.json {
        term.result(&text);
        return Ok(());
    }
    let rows = folds.iter().enumerate().map(|(number, fold)| {
        let test: Vec<&Member> = fold.test.iter().map(|place| &members[*place]).collect();
        let persons: BTreeSet<&str> = test.iter().map(|member| member.subject.as_str()).collect();
        let share = test.iter().map(|member| member.foreground).sum::<f64>() / test.len() as f64;
        let mut row = vec![number.to_string(), fold.train.len().to_string(), test.len().to_string()];
        row.extend([persons.len().to_string(), short(100.0 * share)]);
        for (value, _) in &layout.classes {
            row.push(test.iter().filter(|member| member.labels.contains(value)).count().to_string());
        }
        row
    });
    let mut head: Vec<String> = ["fold", "train", "test", "subjects", "foreground %"].map(String::from).to_vec();
    head.extend(layout.classes.iter().map(|(_, name)| format!("with {name}")));
    term.result(&format!("{}\n\nwritten to {}", table(head, rows.collect(), |_| true), out.display()));
    Ok(())
}

/// The person of every case as the table, the names or the layout say it, in the order of the entries.
fn said(arguments: &Arguments, layout: &Layout) -> Result<Vec<String>> {
    if let Some(path) = &arguments.groups {
        return of_table(path, layout);
    }
    let Some(parts) = arguments.subject_parts else {
        return Ok(layout.entries.iter().map(|entry| entry.subject.clone()).collect());
    };
    let of = |entry: &Entry| {
        let words: Vec<&str> = entry.id.split('_').collect();
        if (1..=words.len()).contains(&parts) {
            return Ok(words[..parts].join("_"));
        }
        Err(Fault::new("id has not as many parts")
            .field("--subject-parts")
            .expected(format!("1 to {}, the parts of `{}` between underscores", words.len(), entry.id))
            .found(parts)
            .hint("give a table with `--groups` where names do not tell the subject"))
    };
    layout.entries.iter().map(of).collect()
}

fn of_table(path: &Path, layout: &Layout) -> Result<Vec<String>> {
    let fault = |summary: &str, found: String| {
        Fault::new(summary)
            .file(path)
            .expected("a CSV table with the columns `case` and `subject`, a line for each case")
            .found(found)
            .hint("for example a first line `case,subject` and a line `spine_01,anna` for each case")
    };
    let text = std::fs::read_to_string(path).map_err(|error| Fault::io("read", path, &error))?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let unreadable = |error: csv::Error| fault("table of subjects cannot be read", error.to_string());
    let header = reader.headers().map_err(unreadable)?.clone();
    let column = |name: &str| header.iter().position(|column| column.trim() == name);
    let (Some(case), Some(subject)) = (column("case"), column("subject")) else {
        let names = header.iter().collect::<Vec<_>>().join(", ");
        return Err(fault("table of subjects lacks a column", format!("columns {names}")));
    };
    let mut table: BTreeMap<String, String> = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        let cell = |column: usize| record.get(column).unwrap_or_default().trim().to_string();
        let (case, subject) = (cell(case), cell(subject));
        if layout.entry(&case).is_err() {
            let near = did_you_mean(&case, layout.entries.iter().map(|entry| entry.id.as_str()));
            let fault = fault("table of subjects names a case that the dataset has not", format!("`{case}`"));
            return Err(match near {
                Some(near) => fault.hint(format!("did you mean `{near}`?")),
                None => fault,
            });
        }
        if subject.is_empty() {
            return Err(fault("case has no subject", format!("an empty cell for `{case}`")));
        }
        if table.insert(case.clone(), subject).is_some() {
            return Err(fault("table of subjects names a case twice", format!("`{case}`")));
        }
    }
    let of = |entry: &Entry| {
        table.get(&entry.id).cloned().ok_or_else(|| fault("case has no subject", format!("no line for `{}`", entry.id)))
    };
    layout.entries.iter().map(of).collect()
}
