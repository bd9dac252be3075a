//! What a guest reports to the machine outside: JSON lines over a serial port.

use serde::{Deserialize, Serialize};

/// The serial port, as the guest sees it.
pub const PORT: &str = "/dev/ttyS1";

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "lowercase")]
pub enum Report {
    /// The kernel is up and its modules are loaded.
    Booted {
        /// Release of the running kernel, as `uname -r` prints it.
        release: String,
    },
    /// A scenario did what it should.
    Passed {
        /// Name of the scenario.
        name: String,
        /// How long it took.
        seconds: f64,
    },
    /// A scenario failed.
    Failed {
        /// Name of the scenario.
        name: String,
        /// How long it took.
        seconds: f64,
        /// What was expected and what came.
        message: String,
    },
    /// A line that the demo prints, or that the scenario which passed last leaves.
    Said {
        /// The line.
        line: String,
    },
    /// Something about this kernel that the scenario which passed last has found out.
    Figure {
        /// What.
        name: String,
        /// How much, or yes or no.
        value: String,
    },
    /// Nothing follows.
    Done,
}

impl Report {
    /// Reads a line; `None` if it is not a report, such as what firmware prints before the boot.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line.trim_ascii()).ok()
    }

    /// Writes the report as one line.
    ///
    /// # Errors
    /// If the writer fails.
    pub fn write(&self, mut to: impl std::io::Write) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        to.write_all(&line)?;
        to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::Report;

    #[test]
    fn a_report_survives_a_terminal() {
        let report = Report::Failed {
            name: "x".into(),
            seconds: 1.5,
            message: "a\nb \"c\"".into(),
        };
        let mut line = Vec::new();
        report.write(&mut line).unwrap();
        assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1);
        line.insert(line.len() - 1, b'\r');
        assert_eq!(Report::parse(&line), Some(report));
        assert_eq!(Report::parse(b"SeaBIOS (version 1.16)"), None);
    }
}
