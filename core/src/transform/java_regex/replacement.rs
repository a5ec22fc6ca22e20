//! Replacement texts in Java's syntax.

/// A replacement that was read: texts and groups, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Group(usize),
}

impl Replacement {
    pub(super) fn parse(text: &str, groups: usize, names: &[(String, usize)]) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            match character {
                '\\' => plain.push(rest.next().ok_or("nothing stands behind the last \\ of the replacement")?),
                '$' => {
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(Part::Group(group(&mut rest, groups, names)?));
                }
                other => plain.push(other),
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// Writes it, with what each group holds; a group that took no part gives nothing.
    pub(super) fn expand<'t>(&self, out: &mut String, group: impl Fn(usize) -> Option<&'t str>) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Group(number) => out.push_str(group(*number).unwrap_or_default()),
            }
        }
    }
}

/// The group behind a `$`. Of a number only so many digits count as make a group that there is.
fn group(rest: &mut std::str::Chars<'_>, groups: usize, names: &[(String, usize)]) -> Result<usize, String> {
    let digit = |rest: &std::str::Chars<'_>| {
        rest.clone().next().and_then(|digit| digit.to_digit(10)).and_then(|digit| usize::try_from(digit).ok())
    };
    if let Some(name) = rest.as_str().strip_prefix('{') {
        let (name, behind) = name.split_once('}').ok_or("a } is missing behind ${ in the replacement")?;
        *rest = behind.chars();
        let known = names.iter().find(|(known, _)| known == name);
        return known.map(|(_, number)| *number).ok_or_else(|| format!("the pattern has no group called {name}"));
    }
    let Some(mut number) = digit(rest) else {
        return Err("behind $ in the replacement a group's number or {name} must stand; a plain $ is \\$".to_owned());
    };
    rest.next();
    if number > groups {
        return Err(format!("the replacement names group {number}, but the pattern has {groups} groups"));
    }
    while let Some(next) = digit(rest) {
        let longer = number.saturating_mul(10).saturating_add(next);
        if longer > groups {
            break;
        }
        number = longer;
        rest.next();
    }
    Ok(number)
}
