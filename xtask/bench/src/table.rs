//! The table: one row a figure, with its spread, what it is beside, and its budget.

use std::fmt;

/// What a figure should be. The median is judged, except for [`Budget::Never`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Budget {
    /// At most this.
    AtMost(f64),
    /// Less than this.
    Below(f64),
    /// At least this.
    AtLeast(f64),
    /// 0 in every round.
    Never,
}

impl Budget {
    fn met(self, samples: &Samples) -> bool {
        match self {
            Self::AtMost(bound) => samples.median() <= bound,
            Self::Below(bound) => samples.median() < bound,
            Self::AtLeast(bound) => samples.median() >= bound,
            Self::Never => samples.max() == 0.0,
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(bound) => write!(f, "<= {bound}"),
            Self::Below(bound) => write!(f, "< {bound}"),
            Self::AtLeast(bound) => write!(f, ">= {bound}"),
            Self::Never => f.write_str("0"),
        }
    }
}

/// One figure of every round, sorted.
#[derive(Clone, Debug)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// From the rounds, in any order.
    pub(crate) fn new(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The median; the mean of the middle two if there is no middle one.
    pub(crate) fn median(&self) -> f64 {
        let n = self.0.len();
        match (self.0.get(n / 2), self.0.get(n.wrapping_sub(1) / 2)) {
            (Some(upper), Some(lower)) => f64::midpoint(*lower, *upper),
            _ => f64::NAN,
        }
    }

    fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }
}

struct Row {
    what: String,
    samples: Samples,
    unit: &'static str,
    beside: String,
    budget: Option<Budget>,
}

/// All rows, by group.
#[derive(Default)]
pub(crate) struct Table(Vec<(String, Vec<Row>)>);

impl Table {
    /// Begins a group.
    pub(crate) fn group(&mut self, name: impl Into<String>) {
        self.0.push((name.into(), Vec::new()));
    }

    /// Adds a row to the last group. `beside` says what the figure is compared with.
    pub(crate) fn row(
        &mut self,
        what: impl Into<String>,
        samples: Samples,
        unit: &'static str,
        beside: impl Into<String>,
        budget: Option<Budget>,
    ) {
        let row = Row {
            what: what.into(),
            samples,
            unit,
            beside: beside.into(),
            budget,
        };
        if let Some((_, rows)) = self.0.last_mut() {
            rows.push(row);
        }
    }
}

/// As many digits as mean something.
pub(crate) fn number(value: f64) -> String {
    let magnitude = value.abs();
    let digits = match magnitude {
        m if m >= 100.0 => 0,
        m if m >= 10.0 => 1,
        m if m >= 0.1 => 2,
        m if m >= 0.000_05 => 4,
        _ => 2,
    };
    // No minus before what rounds to nothing.
    let value = if magnitude < 0.000_05 { 0.0 } else { value };
    format!("{value:.digits$}")
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut met, mut missed) = (0, 0);
        for (group, rows) in &self.0 {
            writeln!(f, "{group}")?;
            writeln!(
                f,
                "  {:<52} {:>9} {:>9} {:>9} {:<9} {:<22} {:<9}",
                "", "median", "min", "max", "unit", "beside", "budget"
            )?;
            for row in rows {
                let samples = &row.samples;
                let (budget, verdict) = match row.budget {
                    None => (String::new(), ""),
                    Some(budget) if budget.met(samples) => {
                        met += 1;
                        (budget.to_string(), "met")
                    }
                    Some(budget) => {
                        missed += 1;
                        (budget.to_string(), "MISSED")
                    }
                };
                let line = format!(
                    "  {:<52} {:>9} {:>9} {:>9} {:<9} {:<22} {budget:<9} {verdict}",
                    row.what,
                    number(samples.median()),
                    number(samples.min()),
                    number(samples.max()),
                    row.unit,
                    row.beside,
                );
                writeln!(f, "{}", line.trim_end())?;
            }
            writeln!(f)?;
        }
        write!(f, "{met} budgets met, {missed} missed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Samples::new([3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(Samples::new([4.0, 1.0, 2.0, 3.0]).median(), 2.5);
    }

    #[test]
    fn one_loss_is_a_loss() {
        let samples = Samples::new([0.0, 0.0, 0.0, 0.0, 1.0]);
        assert!(!Budget::Never.met(&samples));
        assert!(Budget::AtMost(0.0).met(&samples));
        assert!(!Budget::Below(0.0).met(&samples));
    }
}
