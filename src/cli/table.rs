//! Text tables as Teleport's own programs print them.

use std::fmt::Write as _;

use crate::model::clean;

/// What the last column and the cut one have at least between them, in bytes.
const REST: usize = 16;

/// What marks a cell that was cut.
const CUT: &str = "...";

/// Narrowest column, blank included.
const COLUMN_MIN: usize = 5;

/// One column of a table.
struct Column {
    title: String,
    /// Longest cell, in bytes; none: any.
    longest: Option<usize>,
}

/// A table with titles; every cell whole.
pub(super) fn whole<const N: usize>(titles: [&str; N], rows: &[[String; N]]) -> String {
    let columns = titles.map(|title| Column { title: title.to_owned(), longest: None });
    draw(&columns, rows)
}

/// A table without titles.
pub(super) fn bare<const N: usize>(rows: &[[String; N]]) -> String {
    draw(&[const { Column { title: String::new(), longest: None } }; N], rows)
}

/// A table whose column `cut` is cut so that a line fits a terminal that is `width` wide; others
/// are cut where they would take more than their share.
pub(super) fn fitting<const N: usize>(
    titles: [&str; N],
    rows: &[[String; N]],
    cut: usize,
    width: usize,
) -> String {
    let share = width.saturating_sub(REST) / N.saturating_sub(1).max(1);
    let mut taken = 0;
    let mut longest = Vec::new();
    for (index, title) in titles.iter().enumerate() {
        if index == cut {
            longest.push(0);
            continue;
        }
        let cells = rows.iter().filter_map(|row| row.get(index)).map(String::len);
        let widest = cells.max().unwrap_or(0).max(title.len());
        taken += if widest > share { share + CUT.len() + 1 } else { widest + 1 };
        longest.push(widest.min(share));
    }
    if let Some(of_cut) = longest.get_mut(cut) {
        *of_cut = width.saturating_sub(taken).saturating_sub(CUT.len() + 1);
    }
    let columns: Vec<Column> = titles
        .iter()
        .zip(longest)
        // No room at all means that nothing is cut.
        .map(|(title, longest)| Column {
            title: (*title).to_owned(),
            longest: Some(longest).filter(|longest| *longest > 0),
        })
        .collect();
    draw(&columns, rows)
}

/// A cell as it is shown. The real programs may cut within a letter; this keeps letters whole.
/// Control characters cannot steer the terminal.
fn shown(cell: &str, longest: Option<usize>) -> String {
    match longest {
        Some(longest) if cell.len() > longest => {
            let end = (0..=longest).rev().find(|at| cell.is_char_boundary(*at)).unwrap_or(0);
            clean(cell.get(..end).unwrap_or_default()).into_owned() + CUT
        }
        Some(_) | None => clean(cell).into_owned(),
    }
}

fn draw<const N: usize>(columns: &[Column], rows: &[[String; N]]) -> String {
    let mut lines: Vec<Vec<String>> = Vec::new();
    if columns.iter().any(|column| !column.title.is_empty()) {
        lines.push(columns.iter().map(|column| column.title.clone()).collect());
    }
    let cells = |row: &[String; N]| -> Vec<String> {
        row.iter().zip(columns).map(|(cell, column)| shown(cell, column.longest)).collect()
    };
    let body: Vec<Vec<String>> = rows.iter().map(cells).collect();
    if !lines.is_empty() {
        // Dashes count bytes, and the columns letters.
        let dashes = |index: usize, column: &Column| {
            let cells = body.iter().filter_map(|row| row.get(index)).map(String::len);
            "-".repeat(cells.max().unwrap_or(0).max(column.title.len()))
        };
        lines.push(columns.iter().enumerate().map(|(index, it)| dashes(index, it)).collect());
    }
    lines.extend(body);
    let letters = |cell: &String| cell.chars().count();
    let widths: Vec<usize> = (0..N)
        .map(|index| {
            let widest = lines.iter().filter_map(|line| line.get(index)).map(letters).max();
            (widest.unwrap_or(0) + 1).max(COLUMN_MIN)
        })
        .collect();
    let mut out = String::new();
    for line in lines {
        for (cell, width) in line.iter().zip(&widths) {
            #[expect(clippy::let_underscore_must_use, reason = "writing to a string")]
            let _ = write!(out, "{cell:width$}");
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[(&str, &str)]) -> Vec<[String; 3]> {
        rows.iter()
            .map(|(one, two)| [(*one).to_owned(), (*two).to_owned(), String::new()])
            .collect()
    }

    const TITLES: [&str; 3] = ["Kube Cluster Name", "Labels", "Selected"];

    /// As `tsh` 18.0.0 printed them, on a terminal that is 80 wide.
    #[test]
    fn a_table_that_fits() {
        let rows = rows(&[
            ("Upper.Case_x", "env=prod,region=us-east-2"),
            (
                "a-cluster-with-a-name-that-is-quite-long-for-a-table-of-eighty-columns",
                "env=prod,region=us-east-2",
            ),
            ("beta", "cost-centre=4711,env=test,owner=somebody@example.com,region=us-west-1"),
            ("uni", "env=prod,note=gr\u{fc}\u{df}e-\u{65e5}\u{672c}\u{8a9e}-and-more"),
        ]);
        let expected = "\
Kube Cluster Name                   Labels                             Selected \n\
----------------------------------- ---------------------------------- -------- \n\
Upper.Case_x                        env=prod,region=us-east-2                   \n\
a-cluster-with-a-name-that-is-qu... env=prod,region=us-east-2                   \n\
beta                                cost-centre=4711,env=test,owner...          \n\
uni                                 env=prod,note=gr\u{fc}\u{df}e-\u{65e5}\u{672c}\u{8a9e}...                  \n";
        assert_eq!(fitting(TITLES, &rows, 1, 80), expected);
    }

    #[test]
    fn bytes_make_dashes_and_letters_make_columns() {
        let table =
            whole(TITLES, &rows(&[("\u{65e5}\u{672c}\u{8a9e}", "\u{fc}".repeat(5).as_str())]));
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.get(1), Some(&"----------------- ---------- -------- "));
        assert_eq!(
            lines.get(2),
            Some(
                &"\u{65e5}\u{672c}\u{8a9e}               \u{fc}\u{fc}\u{fc}\u{fc}\u{fc}               "
            )
        );
    }

    #[test]
    fn a_table_without_rows_or_room() {
        assert_eq!(bare::<2>(&[]), "");
        assert_eq!(whole(["a", "b"], &[]), "a    b    \n-    -    \n");
        for width in 0..40 {
            let table =
                fitting(TITLES, &rows(&[("name", "\u{1f600}".repeat(9).as_str())]), 1, width);
            assert_eq!(table.lines().count(), 3, "{width}");
        }
    }

    #[test]
    fn a_cell_cannot_steer_the_terminal() {
        let table = bare(&[["a\u{1b}[2J".to_owned(), "b\nc".to_owned()]]);
        assert_eq!(table.lines().count(), 1);
        assert!(!table.contains('\u{1b}'));
    }
}
