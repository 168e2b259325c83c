//! The files of a comparison: `table.csv`, `table.tex` and `cases.csv`, written anew as cells finish.

use super::standing::Standing;
use crate::fault::Result;
use crate::metrics::Metric;
use crate::metrics::table::{Table, write_csv};
use crate::run::RunDir;

/// The columns of the table that people print.
pub(in crate::cli) fn columns() -> Vec<Metric> {
    Metric::MAIN.into_iter().chain([Metric::Nsd]).collect()
}

/// Mean and standard deviation over folds as text: shares in percent, distances in mm.
pub(in crate::cli) fn mean_sd(table: &Table, metric: Metric) -> [f64; 2] {
    let folds = table.over_folds(metric, None);
    let factor = if is_share(metric) { 100.0 } else { 1.0 };
    [factor * folds.mean, factor * folds.sd]
}

/// Whether it is told in percent.
pub(in crate::cli) fn is_share(metric: Metric) -> bool {
    metric.unit().is_empty()
}

/// The head of a column.
pub(in crate::cli) fn head(metric: Metric) -> String {
    if is_share(metric) { format!("{metric} [%]") } else { metric.to_string() }
}

impl Standing<'_> {
    /// Writes all three.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(in crate::cli) fn write_tables(&self, out: &RunDir) -> Result<()> {
        let mut cases = Vec::new();
        write_csv(self.by_seed().iter().map(|(loss, seed, table)| (*loss, *seed, table)), &mut cases)?;
        out.write("cases.csv", &cases)?;
        out.write("table.csv", self.csv().as_bytes())?;
        out.write("table.tex", self.latex()?.as_bytes())
    }

    /// The values of every loss and seed.
    fn by_seed(&self) -> Vec<(&str, u64, Table)> {
        let mut tables = Vec::new();
        for loss in 0..self.losses() {
            let seeds = self.manifest.seeds.iter();
            tables.extend(seeds.map(|seed| (self.name(loss), *seed, self.table_of(loss, *seed))));
        }
        tables
    }

    /// The values of a loss with one seed.
    pub(in crate::cli) fn table_of(&self, loss: usize, seed: u64) -> Table {
        let rows = (0..self.folds()).filter_map(|fold| self.result((loss, fold, seed))?.rows());
        Table { rows: rows.flatten().cloned().collect() }
    }

    /// One line per loss that is complete and metric.
    fn csv(&self) -> String {
        let mut csv = String::from("loss,metric,unit,mean,sd,n,undefined,missed,spurious\n");
        for (name, table) in self.named_tables() {
            for metric in measured(&table) {
                let (folds, cases) = (table.over_folds(metric, None), table.over_cases(metric, None));
                let counts = format!("{},{},{},{}", cases.n, cases.undefined, cases.missed, cases.spurious);
                let name = name.replace('"', "\"\"");
                csv += &format!("\"{name}\",{},{},{},{},{counts}\n", metric.key(), metric.unit(), folds.mean, folds.sd);
            }
        }
        csv
    }

    /// The table of the field, for a paper: `booktabs`, one row per loss; the best value of a column is bold where it is
    /// better than every other one by the tests.
    fn latex(&self) -> Result<String> {
        let (complete, columns) = (self.complete(), columns());
        let mut best = Vec::with_capacity(columns.len());
        for metric in &columns {
            best.push(self.pairwise(&complete, *metric)?.best());
        }
        let [folds, seeds] = [self.folds(), self.manifest.seeds.len()];
        let mut tex = format!(
            "% Mean ± sd over {folds} folds, {seeds} seed(s). Bold: better than every other loss (Wilcoxon's signed-rank test over\n\
             % subjects, Holm over all pairs, level {}). Needs the packages booktabs and, for ±, textcomp or UTF-8.\n",
            super::standing::LEVEL
        );
        tex += &format!("\\begin{{tabular}}{{l{}}}\n\\toprule\nLoss", "r".repeat(columns.len()));
        for metric in &columns {
            tex += &format!(" & {}", escaped(&head(*metric)));
        }
        tex += " \\\\\n\\midrule\n";
        for (row, loss) in complete.iter().enumerate() {
            let table = self.table(*loss);
            tex += &escaped(self.name(*loss));
            for (metric, best) in columns.iter().zip(&best) {
                let [mean, sd] = mean_sd(&table, *metric);
                let value = format!("{mean:.2} \\pm {sd:.2}").replace("NaN", "\\text{--}");
                tex += &if *best == Some(row) { format!(" & $\\mathbf{{{value}}}$") } else { format!(" & ${value}$") };
            }
            tex += " \\\\\n";
        }
        Ok(tex + "\\bottomrule\n\\end{tabular}\n")
    }

    /// Names and values of the losses that are complete.
    pub(in crate::cli) fn named_tables(&self) -> Vec<(String, Table)> {
        self.complete().into_iter().map(|loss| (self.name(loss).to_string(), self.table(loss))).collect()
    }
}

/// The metrics that a table has: a run that was begun before probabilities were measured has none of them.
pub(in crate::cli) fn measured(table: &Table) -> impl Iterator<Item = Metric> {
    Metric::all().filter(|metric| table.rows.iter().any(|row| row.metrics.measured(*metric)))
}

/// A name as LaTeX takes it.
fn escaped(text: &str) -> String {
    let of = |character: char| match character {
        '\\' => r"\textbackslash{}".to_string(),
        '^' => r"\textasciicircum{}".to_string(),
        '~' => r"\textasciitilde{}".to_string(),
        '_' | '%' | '&' | '#' | '$' | '{' | '}' => format!("\\{character}"),
        other => other.to_string(),
    };
    text.chars().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_latex() {
        assert_eq!(escaped("focal_dice(gamma=2) 50% x^2"), r"focal\_dice(gamma=2) 50\% x\textasciicircum{}2");
    }
}
