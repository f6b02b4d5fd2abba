//! A table with aligned columns, by the width that characters have on a terminal.

use unicode_width::UnicodeWidthStr as _;

use super::visible;

/// Rows under a header.
#[derive(Debug)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(header: &[&'static str]) -> Self {
        Self { header: header.into(), rows: vec![] }
    }

    /// Adds a row; an empty cell is shown as a dash.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| visible(&cell)).collect());
    }

    pub(super) fn render(&self, color: bool) -> String {
        let columns = self.header.len();
        let cell = |row: &Vec<String>, column: usize| match row.get(column).map_or("", String::as_str) {
            "" => "-".to_owned(),
            text => text.to_owned(),
        };
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let longest = self.rows.iter().map(|row| cell(row, column).width()).max().unwrap_or(0);
                longest.max(self.header.get(column).map_or(0, |name| name.width()))
            })
            .collect();
        let mut text = String::new();
        let header: Vec<String> = self.header.iter().map(|name| (*name).to_owned()).collect();
        for (n, row) in std::iter::once(&header).chain(&self.rows).enumerate() {
            let mut line = String::new();
            for (column, width) in widths.iter().enumerate() {
                let shown = cell(row, column);
                let pad = width.saturating_sub(shown.width()) + 2;
                line.push_str(&paint(&shown, n == 0, color));
                line.push_str(&" ".repeat(pad));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Colours the header and the words that people look for.
fn paint(cell: &str, header: bool, color: bool) -> String {
    let code = match cell {
        _ if !color => None,
        _ if header => Some("1"),
        "Active" | "good" | "yes" | "connected" => Some("32"),
        "Pending Approval" | "Granting" | "Revoking" | "warning" => Some("33"),
        "Failed" | "Rejected" | "Revoke Canceled" | "bad" | "unreachable" | "refused" => Some("31"),
        _ => None,
    };
    code.map_or_else(|| cell.to_owned(), |code| format!("\x1b[{code}m{cell}\x1b[0m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_what_the_eye_sees() {
        let mut table = Table::new(&["NAME", "STATE"]);
        table.row(["表".into(), "Active".into()]);
        table.row(["plain".into(), String::new()]);
        table.row(["e\u{301}".into(), "x".into()]);
        assert_eq!(table.render(false), "NAME   STATE\n表     Active\nplain  -\ne\u{301}      x\n");
    }

    #[test]
    fn colour_does_not_move_columns() {
        let mut table = Table::new(&["A", "B"]);
        table.row(["Active".into(), "x".into()]);
        let plain = table.render(false);
        let painted = table.render(true);
        assert!(painted.contains("\x1b[32mActive\x1b[0m"));
        let stripped = painted.replace("\x1b[1m", "").replace("\x1b[32m", "").replace("\x1b[0m", "");
        assert_eq!(stripped, plain);
    }
}
