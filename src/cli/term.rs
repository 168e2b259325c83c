//! The only printer. Results go to standard output, everything else to standard error.
//!
//! On a terminal there are bars; elsewhere plain lines, one per finished thing, so that a log file stays readable.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use miette::{GraphicalReportHandler, GraphicalTheme};

use crate::fault::Fault;

/// Standard output, standard error and the bars.
pub(super) struct Term {
    bars: MultiProgress,
    live: bool,
    quiet: bool,
    verbose: bool,
}

impl Term {
    pub(super) fn new(quiet: bool, verbose: bool) -> Self {
        let live = std::io::stderr().is_terminal() && !quiet;
        let target = if live { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { bars: MultiProgress::with_draw_target(target), live, quiet, verbose }
    }

    /// A result, on standard output. A reader that has gone away is no error.
    pub(super) fn result(&self, text: &str) {
        self.bars.suspend(|| {
            let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
        });
    }

    /// A remark, on standard error.
    pub(super) fn say(&self, text: &str) {
        if !self.quiet {
            self.bars.suspend(|| {
                let _ = writeln!(std::io::stderr().lock(), "{text}");
            });
        }
    }

    /// A remark for those who asked for more.
    pub(super) fn detail(&self, text: &str) {
        if self.verbose {
            self.say(text);
        }
    }

    /// A remark only where there are no bars that show the same.
    pub(super) fn log(&self, text: &str) {
        if !self.live {
            self.say(text);
        }
    }

    /// A bar of `length` units; `{msg}` follows it.
    pub(super) fn bar(&self, length: u64, what: &str) -> ProgressBar {
        let template = "{prefix:>12} {bar:32} {pos}/{len}  {eta:>4} left  {wide_msg}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        // Bars stand above boards.
        let bar = self
            .bars
            .insert(0, ProgressBar::new(length).with_style(style.progress_chars("━╸ ")).with_prefix(what.to_string()));
        bar.enable_steady_tick(Duration::from_millis(250));
        bar
    }

    /// Lines under the bars, which are replaced as a whole; nothing where there are no bars.
    pub(super) fn board(&self) -> ProgressBar {
        let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bars.add(ProgressBar::new(1).with_style(style))
    }

    /// The one error.
    pub(super) fn fault(&self, fault: &Fault) {
        let theme = if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::none()
        };
        let mut text = String::new();
        let handler = GraphicalReportHandler::new_themed(theme).with_width(120);
        if handler.render_report(&mut text, fault).is_err() {
            text = fault.to_string();
        }
        self.bars.suspend(|| {
            let _ = writeln!(std::io::stderr().lock(), "error: {}", text.trim());
        });
    }
}

/// A table of text; the cells of columns that hold numbers stand to the right.
pub(super) fn table(header: Vec<String>, rows: Vec<Vec<String>>, is_number: impl Fn(usize) -> bool) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    let columns = header.len();
    table.set_header(header);
    table.add_rows(rows);
    for column in (0..columns).filter(|column| is_number(*column)) {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}
