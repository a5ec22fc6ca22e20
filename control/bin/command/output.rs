//! How documents become text for people.

use serde_json::Value;

/// Widest column of a table but the last one, in characters; what is longer is not cut but pushes the rest.
const COLUMN_MAX: usize = 60;

/// Columns under their headers, two blanks apart. Control characters in cells can't move the terminal's cursor.
pub(crate) fn table(headers: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| line(cell)).collect()).collect();
    let mut widths: Vec<usize> = headers.iter().map(|header| header.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count().min(COLUMN_MAX));
        }
    }
    let mut text = String::new();
    let mut add = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    };
    add(&mut headers.iter().copied());
    for row in &rows {
        add(&mut row.iter().map(String::as_str));
    }
    text
}

/// Text on one line, without control characters.
pub(crate) fn line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.trim().chars().map(plain).collect();
    if text.is_empty() { "-".to_owned() } else { text }
}

/// Lines of a longer text, each put in by so many blanks, without control characters.
pub(crate) fn indented(text: &str, blanks: usize) -> String {
    text.lines().map(|one| format!("{:blanks$}{}\n", "", line(one))).collect()
}

/// What stands at a JSON pointer, as text: `-` where there is nothing.
pub(crate) fn at(document: &Value, pointer: &str) -> String {
    match document.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The elements of an array; none where there is no array.
pub(crate) fn array<'v>(document: &'v Value, pointer: &str) -> &'v [Value] {
    document.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The members of an object, in order; none where there is no object.
pub(crate) fn members<'v>(document: &'v Value, pointer: &str) -> Vec<(&'v str, &'v Value)> {
    let object = document.pointer(pointer).and_then(Value::as_object);
    object.into_iter().flatten().map(|(name, value)| (name.as_str(), value)).collect()
}

/// A table of the elements of an array: a header and a pointer into each element a column.
pub(crate) fn rows(elements: &[Value], columns: &[(&str, &str)]) -> String {
    let headers: Vec<&str> = columns.iter().map(|(header, _)| *header).collect();
    let rows: Vec<Vec<String>> =
        elements.iter().map(|one| columns.iter().map(|(_, pointer)| at(one, pointer)).collect()).collect();
    table(&headers, &rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let text = table(
            &["A", "NAME", "C"],
            &[vec!["1".into(), "ü".into(), String::new()], vec!["22".into(), "x\u{1b}[2J\ny".into(), "c".into()]],
        );
        assert_eq!(text, "A   NAME     C\n1   ü        -\n22  x [2J y  c\n");
    }

    #[test]
    fn what_is_missing_is_a_dash() {
        let document = json!({"a": {"b": 1, "c": null, "d": "x"}, "e": [{"n": 1}, {}]});
        for (pointer, text) in [("/a/b", "1"), ("/a/c", "-"), ("/a/d", "x"), ("/z", "-")] {
            assert_eq!(at(&document, pointer), text);
        }
        assert_eq!(rows(array(&document, "/e"), &[("N", "/n")]), "N\n1\n-\n");
        assert_eq!(array(&document, "/a"), &[] as &[Value]);
        assert_eq!(members(&document, "/a").len(), 3);
    }
}
