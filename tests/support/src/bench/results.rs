//! Figures as people and as programs read them.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{BenchError, io};

/// What a figure has to hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bar {
    None,
    /// Most that the value may be.
    Value(f64),
    /// Most that the value may be above the baseline.
    Added(f64),
    /// Most that the value may be, in baselines.
    Ratio(f64),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    pub name: &'static str,
    pub value: f64,
    pub unit: &'static str,
    pub baseline: Option<f64>,
    pub bar: Bar,
    /// How many runs the value is the median of.
    pub runs: usize,
}

/// Measures in the order in which they were made.
#[derive(Debug, Default)]
pub struct Results(Vec<Measure>);

impl Measure {
    pub fn ratio(&self) -> Option<f64> {
        self.baseline.map(|baseline| self.value / baseline)
    }

    pub fn holds(&self) -> bool {
        match self.bar {
            Bar::None => true,
            Bar::Value(most) => self.value <= most,
            Bar::Added(most) => self
                .baseline
                .is_some_and(|baseline| self.value <= baseline + most),
            Bar::Ratio(most) => self.ratio().is_some_and(|ratio| ratio <= most),
        }
    }

    fn bar(&self) -> String {
        let bar = match self.bar {
            Bar::None => return String::new(),
            Bar::Value(most) => format!("≤ {most} {}", self.unit),
            Bar::Added(most) => format!("≤ +{most} {}", self.unit),
            Bar::Ratio(most) => format!("≤ {most} ×"),
        };
        if self.holds() {
            bar
        } else {
            format!("{bar}  MISSED")
        }
    }
}

impl Results {
    pub fn push(&mut self, measure: Measure) {
        self.0.push(measure);
    }

    pub fn extend(&mut self, measures: impl IntoIterator<Item = Measure>) {
        self.0.extend(measures);
    }

    pub fn table(&self) -> String {
        let number =
            |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.1}"));
        let mut text = format!(
            "{:<24} {:>12} {:<7} {:>12} {:>8} {:>5}   {}\n",
            "measure", "value", "unit", "baseline", "ratio", "runs", "bar"
        );
        for measure in &self.0 {
            let ratio = measure
                .ratio()
                .map_or_else(String::new, |ratio| format!("{ratio:.2} ×"));
            let row = format!(
                "{:<24} {:>12} {:<7} {:>12} {:>8} {:>5}   {}",
                measure.name,
                number(Some(measure.value)),
                measure.unit,
                number(measure.baseline),
                ratio,
                measure.runs,
                measure.bar(),
            );
            text.push_str(row.trim_end());
            text.push('\n');
        }
        text
    }

    pub fn json(&self) -> Value {
        let measures = self.0.iter().map(|measure| {
            let body = json!({
                "value": rounded(measure.value),
                "unit": measure.unit,
                "baseline": measure.baseline.map(rounded),
                "ratio": measure.ratio().map(rounded),
                "runs": measure.runs,
            });
            (measure.name.to_owned(), body)
        });
        Value::Object(measures.collect::<Map<_, _>>())
    }

    pub fn write(&self, path: &Path) -> Result<(), BenchError> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(io("make the folder of the results"))?;
        }
        std::fs::write(path, format!("{:#}\n", self.json())).map_err(io("write the results"))
    }
}

/// Three digits after the point: what follows them is noise.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(value: f64, baseline: Option<f64>, bar: Bar) -> Measure {
        Measure {
            name: "speed",
            value,
            unit: "ms",
            baseline,
            bar,
            runs: 30,
        }
    }

    #[test]
    fn a_ratio_is_held_against_its_baseline() {
        assert!(measure(13.0, Some(10.0), Bar::Ratio(1.3)).holds());
        assert!(!measure(13.1, Some(10.0), Bar::Ratio(1.3)).holds());
        assert!(!measure(1.0, None, Bar::Ratio(1.3)).holds());
    }

    #[test]
    fn what_is_added_to_a_baseline_is_held_against_it() {
        assert!(measure(1700.0, Some(1500.0), Bar::Added(200.0)).holds());
        assert!(!measure(1701.0, Some(1500.0), Bar::Added(200.0)).holds());
        assert!(!measure(1.0, None, Bar::Added(200.0)).holds());
    }

    #[test]
    fn programs_read_a_measure_by_its_name() {
        let mut results = Results::default();
        results.push(measure(3.0, Some(2.0), Bar::None));
        let expected = json!({ "speed": { "value": 3.0, "unit": "ms", "baseline": 2.0, "ratio": 1.5, "runs": 30 } });
        assert_eq!(results.json(), expected);
    }
}
