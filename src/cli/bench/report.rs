//! What a benchmark says: settings, durations, and results by which another tool shows that it did the same.
//!
//! As JSON one flat object, the same for every benchmark and for the scripts in `benches/`: a duration `x` is `x_ms`
//! (median) and `x_ms_min`, results stand under `results`. What could not be found out is left out, never zero.

use serde_json::{Map, Value};

use super::super::term::table;
use super::Repeats;
use super::durations::Durations;

/// The result of one benchmark.
pub(super) struct Report {
    benchmark: &'static str,
    settings: Map<String, Value>,
    durations: Vec<(&'static str, Durations)>,
    figures: Vec<(&'static str, f64)>,
    results: Map<String, Value>,
}

impl Report {
    pub(super) fn new(benchmark: &'static str, repeats: Repeats) -> Self {
        let mut report =
            Self { benchmark, settings: Map::new(), durations: Vec::new(), figures: Vec::new(), results: Map::new() };
        report.set("tool", concat!("lossgen ", env!("CARGO_PKG_VERSION")));
        report.set("repeats", repeats.repeats);
        report.set("warm_up", repeats.warm_up);
        report
    }

    /// What was asked for.
    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.settings.insert(name.to_string(), value.into());
    }

    /// What was timed; `name` without a unit.
    pub(super) fn time(&mut self, name: &'static str, durations: Durations) {
        self.durations.push((name, durations));
    }

    /// What follows from the times; `name` ends in its unit where it has one.
    pub(super) fn figure(&mut self, name: &'static str, value: f64) {
        self.figures.push((name, value));
    }

    /// What came out, to be compared with what came out of another tool.
    pub(super) fn result(&mut self, name: &str, value: impl Into<Value>) {
        self.results.insert(name.to_string(), value.into());
    }

    /// One JSON object on one line.
    pub(super) fn json(&self) -> String {
        let mut object = Map::from_iter([("benchmark".to_string(), self.benchmark.into())]);
        object.extend(self.settings.clone());
        for (name, durations) in &self.durations {
            object.insert(format!("{name}_ms"), durations.median().into());
            object.insert(format!("{name}_ms_min"), durations.min().into());
        }
        object.extend(self.figures.iter().map(|(name, value)| ((*name).to_string(), (*value).into())));
        object.insert("results".to_string(), self.results.clone().into());
        Value::from(object).to_string()
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let header = [self.benchmark, "median [ms]", "minimum [ms]"].map(String::from).to_vec();
        let row = |(name, durations): &(&str, Durations)| {
            vec![(*name).to_string(), format!("{:.2}", durations.median()), format!("{:.2}", durations.min())]
        };
        let mut text = table(header, self.durations.iter().map(row).collect(), |column| column > 0);
        for pairs in [&self.settings, &self.results] {
            let pair = |(name, value): (&String, &Value)| match value {
                Value::String(text) => format!("{name} {text}"),
                value => format!("{name} {value}"),
            };
            text += &format!("\n\n{}", pairs.iter().map(pair).collect::<Vec<_>>().join(", "));
        }
        for (place, (name, value)) in self.figures.iter().enumerate() {
            text += if place == 0 { "\n\n" } else { "\n" };
            text += &format!("{name:<28} {value:>10.1}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_has_the_keys_that_scripts_rely_on() {
        let mut report = Report::new("step", Repeats { repeats: 1, warm_up: 1 });
        let mut durations = Durations::default();
        durations.push(2.0);
        report.time("forward", durations);
        report.figure("steps_per_second", 500.0);
        report.result("parameters", 7);
        let object: Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(object["benchmark"], "step");
        assert_eq!((object["forward_ms"].as_f64(), object["forward_ms_min"].as_f64()), (Some(2.0), Some(2.0)));
        assert_eq!(
            (object["steps_per_second"].as_f64(), object["results"]["parameters"].as_u64()),
            (Some(500.0), Some(7))
        );
        assert!(report.table().contains("forward") && report.table().contains("steps_per_second"));
    }
}
