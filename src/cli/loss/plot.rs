//! `lossgen loss plot` and `lossgen loss docs`: how losses behave, as pictures, and the page about the catalog.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::term::Term;
use crate::cli::{Common, reference};
use crate::fault::{Fault, Result, did_you_mean};
use crate::losses::Loss;
use crate::losses::analysis::{Analysis, Behaviour, behaviours};
use crate::report::behaviour::sheet;
use crate::report::{catalog, svg};
use crate::run::replace;

#[derive(Debug, Args)]
pub(in crate::cli) struct Plot {
    /// Names, names with parameters, formulas, RUN/best, or RUN#ID
    #[arg(required = true)]
    losses: Vec<String>,
    /// What to look at, of size, shape, segmentation, profile, slice; everything if not given
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    only: Vec<String>,
    /// Progress of the training, for losses that change with it
    #[arg(long, value_name = "0..1", default_value_t = 0.0)]
    progress: f64,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Docs {
    /// The folder of `losses.md`; what an earlier version of the program wrote there is replaced
    folder: PathBuf,
}

pub(super) fn plot(arguments: &Plot, common: &Common, term: &Term) -> Result<()> {
    let losses =
        arguments.losses.iter().map(|typed| Ok(reference::find(typed)?.loss)).collect::<Result<Vec<Loss>>>()?;
    if losses.len() > svg::STYLES {
        return Err(Fault::new("too many losses for one picture")
            .expected(format!("at most {}, which can be told apart", svg::STYLES))
            .found(losses.len()));
    }
    let analyses = analyses(&arguments.only)?;
    if !(0.0..=1.0).contains(&arguments.progress) {
        return Err(Fault::new("not a progress of a training")
            .field("--progress")
            .expected("a number from 0 to 1")
            .found(arguments.progress));
    }
    let out = match &common.out {
        Some(path) => Some(Out::new(path)?),
        None if common.json => None,
        None => {
            return Err(Fault::new("nowhere to draw")
                .field("--out")
                .expected("a file that ends in `.svg`, or a folder for one file per analysis")
                .hint("`--json` prints the numbers instead"));
        }
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(common.threads()).build();
    let pool = pool.map_err(|error| Fault::failed(format!("cannot start threads: {error}")))?;
    let behaviours = pool.install(|| behaviours(&losses, &analyses, arguments.progress));
    if let Some(out) = out {
        out.write(&behaviours, &analyses, term)?;
    }
    if common.json {
        let text = serde_json::to_string(&behaviours)
            .map_err(|error| Fault::failed(format!("cannot write the numbers: {error}")))?;
        term.result(&text);
    }
    Ok(())
}

/// What was asked for, each once; everything if nothing was.
fn analyses(only: &[String]) -> Result<Vec<Analysis>> {
    let names = || Analysis::ALL.iter().map(|analysis| analysis.name());
    let mut chosen = Vec::new();
    for typed in only {
        let Some(analysis) = Analysis::ALL.into_iter().find(|analysis| analysis.name() == typed.trim()) else {
            let fault = Fault::new("unknown analysis")
                .field("--only")
                .expected(names().collect::<Vec<_>>().join(", "))
                .found(format!("`{typed}`"));
            return Err(match did_you_mean(typed, names()) {
                Some(close) => fault.hint(format!("did you mean `{close}`?")),
                None => fault,
            });
        };
        if !chosen.contains(&analysis) {
            chosen.push(analysis);
        }
    }
    Ok(if chosen.is_empty() { Analysis::ALL.to_vec() } else { chosen })
}

/// Where pictures go: found out before anything is computed.
enum Out {
    /// One sheet.
    File(PathBuf),
    /// A picture for each analysis.
    Folder(PathBuf),
}

impl Out {
    fn new(path: &Path) -> Result<Self> {
        let is_file = path.extension().is_some_and(|extension| extension == "svg");
        let taken = if path.is_dir() && !is_file {
            std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
        } else {
            path.exists()
        };
        if taken {
            return Err(Fault::new("there is something already")
                .file(path)
                .expected("a folder that is empty or not there, or the name of a new file that ends in `.svg`")
                .hint("choose another place with `--out`: pictures never overwrite"));
        }
        if !is_file {
            return Ok(Self::Folder(path.to_path_buf()));
        }
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        match folder {
            Some(folder) if !folder.is_dir() => {
                Err(Fault::new("folder of the picture does not exist").file(path).hint("make it first"))
            }
            _ => Ok(Self::File(path.to_path_buf())),
        }
    }

    fn write(&self, behaviours: &[Behaviour], analyses: &[Analysis], term: &Term) -> Result<()> {
        match self {
            Self::File(path) => {
                replace(path, sheet(behaviours, analyses).as_bytes())?;
                term.say(&format!("drawn: {}", path.display()));
            }
            Self::Folder(folder) => {
                std::fs::create_dir_all(folder).map_err(|error| Fault::io("create", folder, &error))?;
                for analysis in analyses {
                    let path = folder.join(format!("{}.svg", analysis.name()));
                    replace(&path, sheet(behaviours, &[*analysis]).as_bytes())?;
                    term.say(&format!("drawn: {}", path.display()));
                }
            }
        }
        Ok(())
    }
}

pub(super) fn docs(arguments: &Docs, term: &Term) -> Result<()> {
    let page = arguments.folder.join("losses.md");
    let ours = match std::fs::read(&page) {
        Ok(bytes) => bytes.starts_with(catalog::FIRST_LINE.as_bytes()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(Fault::io("read", &page, &error)),
    };
    if !ours {
        return Err(Fault::new("page was not written by this program")
            .file(&page)
            .expected("a file that says so in its first line, or none")
            .hint("move it away, or name another folder"));
    }
    let pictures = arguments.folder.join(catalog::PICTURES);
    std::fs::create_dir_all(&pictures).map_err(|error| Fault::io("create", &pictures, &error))?;
    for (name, picture) in catalog::pictures() {
        replace(&pictures.join(name), picture.as_bytes())?;
    }
    // Last, so that an interrupted page is not mistaken for a new one.
    replace(&page, catalog::page().as_bytes())?;
    term.say(&format!("written: {} and its pictures", page.display()));
    Ok(())
}
