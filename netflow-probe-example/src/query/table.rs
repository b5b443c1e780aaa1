//! Aligned columns, and numbers as people read them.

use core::fmt::Write as _;

/// To which side a column is aligned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A table under construction.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) const fn new() -> Self {
        Self { columns: Vec::new(), rows: Vec::new() }
    }

    pub(crate) fn column(&mut self, heading: &str, align: Align) {
        self.columns.push((heading.to_owned(), align));
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The heading and the rows, a line each.
    pub(crate) fn render(&self) -> String {
        let width = |index: usize, heading: &str| {
            let cells = self.rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
            cells.chain([heading.chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> =
            self.columns.iter().enumerate().map(|(index, (heading, _))| width(index, heading)).collect();
        let mut text = String::new();
        let mut line = |cells: &mut dyn Iterator<Item = &str>| {
            let start = text.len();
            for (index, ((cell, width), (_, align))) in cells.zip(&widths).zip(&self.columns).enumerate() {
                let separator = if index > 0 { "  " } else { "" };
                // Writing to memory does not fail.
                let _ = match align {
                    Align::Left => write!(text, "{separator}{cell:<width$}"),
                    Align::Right => write!(text, "{separator}{cell:>width$}"),
                };
            }
            text.truncate(start + text.get(start..).map_or(0, |line| line.trim_end().len()));
            text.push('\n');
        };
        line(&mut self.columns.iter().map(|(heading, _)| heading.as_str()));
        for row in &self.rows {
            line(&mut row.iter().map(String::as_str));
        }
        text
    }
}

/// A number with at most four digits and a unit of a thousand: `950`, `12.3 k`, `4.2 M`.
pub(crate) fn scaled(number: u64) -> String {
    let units = ["", " k", " M", " G", " T", " P", " E"];
    let mut divisor = 1_u64;
    for unit in units {
        // Below 999.95 units, so that rounding does not give 1000.0.
        if u128::from(number) * 20 < u128::from(divisor) * 19_999 || unit == " E" {
            if divisor == 1 {
                return number.to_string();
            }
            let tenths = (u128::from(number) * 10 + u128::from(divisor) / 2) / u128::from(divisor);
            return format!("{}.{}{unit}", tenths / 10, tenths % 10);
        }
        divisor = divisor.saturating_mul(1_000);
    }
    number.to_string()
}

/// A share with one decimal; nothing of nothing is empty.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return String::new();
    }
    let tenths = (u128::from(part) * 1_000 + u128::from(whole) / 2) / u128::from(whole);
    format!("{}.{}%", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_scaled_by_thousands() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1_000, "1.0 k"),
            (1_049, "1.0 k"),
            (1_050, "1.1 k"),
            (999_949, "999.9 k"),
            (999_950, "1.0 M"),
            (12_345_678, "12.3 M"),
            (u64::MAX, "18.4 E"),
        ];
        for (number, text) in cases {
            assert_eq!(scaled(number), text, "{number}");
        }
        assert_eq!(
            (percent(1, 3), percent(0, 0), percent(5, 5)),
            ("33.3%".into(), String::new(), "100.0%".into())
        );
    }
}
