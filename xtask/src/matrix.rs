//! The table of what guests have found out about their kernels, as `docs/KERNELS.md` has it.

/// What was found out about one kernel.
pub(crate) struct Column {
    /// The kernel.
    pub(crate) kernel: &'static str,
    /// Names and values, in the order in which they came.
    pub(crate) figures: Vec<(String, String)>,
}

/// The table, in Markdown: a column a kernel, a row a figure; empty if there are no figures.
pub(crate) fn table(columns: &[Column]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in columns.iter().flat_map(|column| &column.figures) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return String::new();
    }
    let kernels = columns.iter().map(|column| column.kernel);
    let mut lines = vec![
        row(std::iter::once("").chain(kernels)),
        row(std::iter::repeat_n("---", columns.len() + 1)),
    ];
    lines.extend(names.iter().map(|name| {
        let values = columns.iter().map(|column| column.value(name));
        row(std::iter::once(*name).chain(values))
    }));
    lines.concat()
}

impl Column {
    fn value(&self, name: &str) -> &str {
        let figure = self.figures.iter().find(|(known, _)| known == name);
        figure.map_or("", |(_, value)| value)
    }
}

fn row<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let cells: Vec<_> = cells.collect();
    format!("| {} |\n", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_kernel_does_not_tell_is_empty() {
        let column = |kernel, figures: &[(&str, &str)]| Column {
            kernel,
            figures: figures
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let columns = [
            column("5.10", &[("TCX", "no")]),
            column("6.12", &[("TCX", "yes"), ("dns_tcx", "3175")]),
        ];
        let lines = [
            "|  | 5.10 | 6.12 |",
            "| --- | --- | --- |",
            "| TCX | no | yes |",
            "| dns_tcx |  | 3175 |",
        ];
        assert_eq!(table(&columns), lines.join("\n") + "\n");
        assert_eq!(table(&[column("6.1", &[])]), "");
    }
}
