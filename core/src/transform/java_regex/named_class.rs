//! Sets of characters that have a name in Java: `\p{…}` and the escapes.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

use super::Flags;

/// A set of ranges, both ends included.
pub(super) fn set(ranges: &[(char, char)]) -> ClassUnicode {
    ClassUnicode::new(ranges.iter().map(|(first, last)| ClassUnicodeRange::new(*first, *last)))
}

/// The set without its members' order: everything else.
pub(super) fn negated(mut class: ClassUnicode) -> ClassUnicode {
    class.negate();
    class
}

const HORIZONTAL: &[(char, char)] = &[
    ('\t', '\t'),
    (' ', ' '),
    ('\u{a0}', '\u{a0}'),
    ('\u{1680}', '\u{1680}'),
    ('\u{180e}', '\u{180e}'),
    ('\u{2000}', '\u{200a}'),
    ('\u{202f}', '\u{202f}'),
    ('\u{205f}', '\u{205f}'),
    ('\u{3000}', '\u{3000}'),
];
const VERTICAL: &[(char, char)] = &[('\n', '\r'), ('\u{85}', '\u{85}'), ('\u{2028}', '\u{2029}')];
const PUNCTUATION: &[(char, char)] = &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')];

/// The set of the escape `\letter`, if there is one of that name.
pub(super) fn escape(letter: char, flags: Flags) -> Option<ClassUnicode> {
    let unicode = flags.unicode_classes;
    let class = match letter.to_ascii_lowercase() {
        'd' if unicode => unicode_set(r"\d")?,
        'w' if unicode => unicode_set(r"\w")?,
        's' if unicode => unicode_set(r"\s")?,
        'd' => set(&[('0', '9')]),
        'w' => set(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
        's' => set(&[('\t', '\r'), (' ', ' ')]),
        'h' => set(HORIZONTAL),
        'v' => set(VERTICAL),
        _ => return None,
    };
    Some(if letter.is_ascii_uppercase() { negated(class) } else { class })
}

/// The set that a class of the crate `regex` stands for.
fn unicode_set(pattern: &str) -> Option<ClassUnicode> {
    let hir = regex_syntax::Parser::new().parse(pattern).ok()?;
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => Some(class.clone()),
        HirKind::Literal(literal) => {
            let character = std::str::from_utf8(&literal.0).ok()?.chars().next()?;
            Some(set(&[(character, character)]))
        }
        _ => None,
    }
}

fn property(name: &str) -> Option<ClassUnicode> {
    unicode_set(&format!(r"\p{{{name}}}"))
}

/// The set of `\p{name}`.
///
/// # Errors
/// A name that Java does not know, or that is not supported here.
pub(super) fn property_class(name: &str, flags: Flags) -> Result<ClassUnicode, String> {
    let unknown = || format!("there is no character class \\p{{{name}}}");
    if let Some((kind, value)) = name.split_once('=') {
        let class = match kind.to_ascii_lowercase().as_str() {
            "sc" | "script" => property(&format!("sc={value}")),
            "gc" | "general_category" => property(&format!("gc={value}")),
            _ => None,
        };
        return class.ok_or_else(unknown);
    }
    if let Some(short) = name.strip_prefix("Is") {
        return is_property(short).ok_or_else(unknown);
    }
    if name.starts_with("In") {
        return Err(format!("Unicode blocks are not supported: \\p{{{name}}}"));
    }
    if let Some(class) = cased(name, flags) {
        return Ok(class);
    }
    let class = if flags.unicode_classes { posix_unicode(name).or_else(|| posix(name)) } else { posix(name) };
    class.or_else(|| java_method(name)).or_else(|| category(name)).ok_or_else(unknown)
}

/// Classes of letters of one case, which take both when case is ignored.
fn cased(name: &str, flags: Flags) -> Option<ClassUnicode> {
    let both = flags.case_insensitive;
    match name {
        "Lower" | "Upper" if both && !flags.unicode_classes => Some(set(&[('A', 'Z'), ('a', 'z')])),
        "Lower" | "Upper" | "javaLowerCase" | "javaUpperCase" if both => {
            unicode_set(r"[\p{Lowercase}\p{Uppercase}\p{Lt}]")
        }
        "Lu" | "Ll" | "Lt" if both => category("LC"),
        _ => None,
    }
}

/// What may follow `Is`: a script, a category, or a property that is true or false.
fn is_property(short: &str) -> Option<ClassUnicode> {
    let binary = match short.to_ascii_lowercase().as_str() {
        "alphabetic" => "Alphabetic",
        "ideographic" => "Ideographic",
        "letter" => "L",
        "lowercase" => "Lowercase",
        "uppercase" => "Uppercase",
        "titlecase" => "Lt",
        "punctuation" => "P",
        "control" => "Cc",
        "white_space" | "whitespace" => "White_Space",
        "digit" => "Nd",
        "hex_digit" | "hexdigit" => "Hex_Digit",
        "join_control" | "joincontrol" => "Join_Control",
        "noncharacter_code_point" | "noncharactercodepoint" => "Noncharacter_Code_Point",
        "assigned" => return property("Cn").map(negated),
        _ => "",
    };
    if !binary.is_empty() {
        return property(binary);
    }
    category(short).or_else(|| property(&format!("sc={short}")))
}

/// A general category by its short name.
fn category(name: &str) -> Option<ClassUnicode> {
    match name {
        "LC" => unicode_set(r"[\p{Lu}\p{Ll}\p{Lt}]"),
        "LD" => unicode_set(r"[\p{L}\p{Nd}]"),
        "L1" => Some(set(&[('\0', '\u{ff}')])),
        "all" => Some(set(&[('\0', char::MAX)])),
        // Longer names and other spellings are unknown to Java.
        _ if name.len() > 2 || !name.starts_with(|first: char| first.is_ascii_uppercase()) => None,
        _ => property(&format!("gc={name}")),
    }
}

/// The POSIX classes, ASCII only.
fn posix(name: &str) -> Option<ClassUnicode> {
    Some(match name {
        "Lower" => set(&[('a', 'z')]),
        "Upper" => set(&[('A', 'Z')]),
        "ASCII" => set(&[('\0', '\u{7f}')]),
        "Alpha" => set(&[('A', 'Z'), ('a', 'z')]),
        "Digit" => set(&[('0', '9')]),
        "Alnum" => set(&[('0', '9'), ('A', 'Z'), ('a', 'z')]),
        "Punct" => set(PUNCTUATION),
        "Graph" => set(&[('!', '~')]),
        "Print" => set(&[(' ', '~')]),
        "Blank" => set(&[('\t', '\t'), (' ', ' ')]),
        "Cntrl" => set(&[('\0', '\u{1f}'), ('\u{7f}', '\u{7f}')]),
        "XDigit" => set(&[('0', '9'), ('A', 'F'), ('a', 'f')]),
        "Space" => set(&[('\t', '\r'), (' ', ' ')]),
        _ => return None,
    })
}

/// The POSIX classes under `UNICODE_CHARACTER_CLASS`.
fn posix_unicode(name: &str) -> Option<ClassUnicode> {
    unicode_set(match name {
        "Lower" => r"\p{Lowercase}",
        "Upper" => r"\p{Uppercase}",
        "Alpha" => r"\p{Alphabetic}",
        "Digit" => r"\p{Nd}",
        "Alnum" => r"[\p{Alphabetic}\p{Nd}]",
        "Punct" => r"\p{P}",
        "Graph" => r"[^\s\p{Cc}\p{Cn}]",
        "Print" => r"[[^\s\p{Cc}\p{Cn}]\p{Zs}]",
        "Blank" => r"[\t\p{Zs}]",
        "Cntrl" => r"\p{Cc}",
        "XDigit" => r"[\p{Nd}\p{Hex_Digit}]",
        "Space" => r"\s",
        _ => return None,
    })
}

/// The classes that ask a method of Java's `Character`.
fn java_method(name: &str) -> Option<ClassUnicode> {
    let pattern = match name {
        "javaLowerCase" => r"\p{Lowercase}",
        "javaUpperCase" => r"\p{Uppercase}",
        "javaTitleCase" => r"\p{Lt}",
        "javaAlphabetic" => r"\p{Alphabetic}",
        "javaIdeographic" => r"\p{Ideographic}",
        "javaDigit" => r"\p{Nd}",
        "javaDefined" => r"\P{Cn}",
        "javaLetter" => r"\p{L}",
        "javaLetterOrDigit" => r"[\p{L}\p{Nd}]",
        "javaSpaceChar" => r"\p{Z}",
        "javaWhitespace" => r"[[\p{Z}--[\x{a0}\x{2007}\x{202f}]]\t-\r\x1c-\x1f]",
        "javaISOControl" => r"[\x00-\x1f\x7f-\x{9f}]",
        _ => return None,
    };
    unicode_set(pattern)
}
