//! A readable table for the terminal: columns as wide as they need.

use std::fmt::{self, Display, Formatter};

/// Rows under a heading. The first column is text, the others are figures.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these headings.
    pub(crate) fn new<const N: usize>(headings: [&str; N]) -> Self {
        Self { rows: vec![headings.map(str::to_owned).to_vec()] }
    }

    /// One more row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            let mut line = String::from("  ");
            for (column, cell) in row.iter().enumerate() {
                let width = self.width(column);
                match column {
                    0 => line.push_str(&format!("{cell:<width$}")),
                    _ => line.push_str(&format!("  {cell:>width$}")),
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A figure with as many digits as it is worth: `12345`, `123`, `12.3`, `1.23`, `0.123`.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// KiB as MiB.
pub(crate) fn mib(kib: u64) -> String {
    figure(kib as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_their_width() {
        let mut table = Table::new(["store", "/s"]);
        table.row(["memory".to_owned(), figure(12345.6)]);
        table.row(["ö".to_owned(), figure(0.0123)]);
        assert_eq!(table.to_string(), "  store      /s\n  memory  12346\n  ö       0.012\n");
    }

    #[test]
    fn figures_keep_three_digits() {
        for (value, text) in
            [(99.96, "100.0"), (100.4, "100"), (9.994, "9.99"), (0.0, "0.000"), (-12.34, "-12.3")]
        {
            assert_eq!(figure(value), text);
        }
    }
}
