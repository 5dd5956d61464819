//! Medians, and a table of them in Markdown.

use std::fmt::Write as _;

/// The median; not a number where there is nothing.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

/// A table with a header, a rule and rows.
pub fn markdown(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|", header.join(" | "));
    for column in 0..header.len() {
        text.push_str(if column == 0 { "---|" } else { "---:|" });
    }
    text.push('\n');
    for row in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{markdown, median};

    /// Of an odd number of values the median is the middle one, of an even number the mean of the two in the middle.
    #[test]
    fn medians() {
        assert!((median(vec![9.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0, 9.0, 2.0]) - 3.0).abs() < f64::EPSILON);
        assert!(median(Vec::new()).is_nan());
    }

    /// A table is as Markdown wants it: a rule below the header, and as many cells in each row.
    #[test]
    fn tables() {
        let text = markdown(&["", "a"], &[vec!["x".into(), "1".into()]]);
        assert_eq!(text, "|  | a |\n|---|---:|\n| x | 1 |\n");
    }
}
