//! Secrets: which values are, how they are hidden where a configuration is shown, and how they are taken out of texts that
//! somebody else wrote.

use std::borrow::Cow;
use std::fmt;

use aho_corasick::{AhoCorasick, MatchKind};

use super::key::{ConfigKey, KeyKind};
use super::provider::is_sole_reference;

/// What stands in place of a secret's value wherever it could be seen.
pub const MASK: &str = "******";
/// A secret that is shorter is masked where it is shown as a value, but not looked for in other texts: it could not be
/// told from ordinary words.
pub const SCRUBBED_BYTES_MIN: usize = 4;

/// Words in the name of a key that make its value a secret even when no definition says so.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwd",
    "secret",
    "credential",
    "token",
    "private.key",
    "privatekey",
    "access.key",
    "accesskey",
    "api.key",
    "apikey",
    "sasl.jaas",
    "passphrase",
];

/// A secret text. Can't be printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Whether the value of a key must never be shown: its definition says so, or, for keys that nobody defined, its name
/// looks like it.
#[must_use]
pub fn is_secret(name: &str, definitions: &[ConfigKey]) -> bool {
    let defined = definitions.iter().find(|key| key.name == name || key.aliases.contains(&name));
    match defined {
        Some(key) => key.kind == KeyKind::Secret,
        None => looks_secret(name),
    }
}

/// Whether the name of a key that nobody defined says that its value is a secret.
#[must_use]
pub fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// A value as it may be shown: a secret's is masked, unless it is a reference, which tells nothing; in any other the
/// passwords of addresses are.
#[must_use]
pub fn shown(value: &str, secret: bool) -> Cow<'_, str> {
    if !secret {
        return mask_addresses(value);
    }
    if value.is_empty() || is_sole_reference(value) { Cow::Borrowed(value) } else { Cow::Borrowed(MASK) }
}

/// The text with the passwords of addresses masked: `scheme://user:PASSWORD@host`, and `password=PASSWORD` in what
/// follows a `scheme:` (`jdbc:mysql://h/d?password=…`).
#[must_use]
pub fn mask_addresses(text: &str) -> Cow<'_, str> {
    let mut masked = String::new();
    let mut from = 0;
    for (start, end) in address_passwords(text) {
        let (Some(before), Some(password)) = (text.get(from..start), text.get(start..end)) else { continue };
        masked.push_str(before);
        masked.push_str(if is_sole_reference(password) { password } else { MASK });
        from = end;
    }
    if from == 0 {
        return Cow::Borrowed(text);
    }
    masked.push_str(text.get(from..).unwrap_or_default());
    Cow::Owned(masked)
}

/// The passwords of addresses in a text.
pub fn passwords_in(text: &str) -> impl Iterator<Item = &str> {
    address_passwords(text).into_iter().filter_map(|(start, end)| text.get(start..end))
}

/// Where in a text passwords of addresses stand, in order, without overlaps.
fn address_passwords(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("://") {
        let start = at + 3;
        let authority = text.get(start..).unwrap_or_default();
        let authority = authority.split(['/', '?', '#', ' ', '"', '\'', ',', ';']).next().unwrap_or_default();
        // The last @ ends the user's part: a password may hold one.
        let Some((user, _)) = authority.rsplit_once('@') else { continue };
        if let Some((name, password)) = user.split_once(':')
            && !password.is_empty()
        {
            let from = start + name.len() + 1;
            found.push((from, from + password.len()));
        }
    }
    if text.contains(':') {
        let lower = text.to_ascii_lowercase();
        let words = ["password=", "passwd=", "pwd="];
        for (at, word) in words.iter().flat_map(|word| lower.match_indices(word).map(move |(at, _)| (at, word))) {
            let before = lower.get(..at).unwrap_or_default();
            // `trustStorePassword=` is one too; `xpwd=` need not be.
            let whole_word = *word != "pwd=" || !before.ends_with(char::is_alphanumeric);
            let from = at + word.len();
            let rest = text.get(from..).unwrap_or_default();
            let length = rest.find(['&', ';', ' ', ',', ')', '"', '\'']).unwrap_or(rest.len());
            if length > 0 && whole_word && before.contains(':') {
                found.push((from, from + length));
            }
        }
    }
    found.sort_unstable();
    let mut end = 0;
    found.retain(|(from, to)| {
        let apart = *from >= end;
        if apart {
            end = *to;
        }
        apart
    });
    found
}

/// Takes known secrets out of texts.
#[derive(Default)]
pub struct Scrubber {
    finder: Option<AhoCorasick>,
    /// What is put in the place of each.
    shown: Vec<String>,
}

impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scrubber of {} texts", self.shown.len())
    }
}

impl Scrubber {
    /// A scrubber of these secrets, each with what is shown in its place. It finds them as they are, and as JSON texts and
    /// addresses write them. Where several begin, the longest is taken. Of two that are equal the first counts.
    #[must_use]
    pub fn new<'s>(secrets: impl IntoIterator<Item = (&'s str, &'s str)>) -> Self {
        let mut texts: Vec<String> = Vec::new();
        let mut shown: Vec<String> = Vec::new();
        for (secret, instead) in secrets {
            if !is_scrubbed(secret) {
                continue;
            }
            for form in forms(secret) {
                texts.push(form);
                shown.push(instead.to_owned());
            }
        }
        if texts.is_empty() {
            return Self::default();
        }
        // Building fails only for more patterns than an index can count, which the bounds on secrets rule out.
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&texts).ok();
        Self { finder, shown }
    }

    /// Whether there is nothing that it would find.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.finder.is_none()
    }

    /// The text without secrets.
    #[must_use]
    pub fn scrub<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match &self.finder {
            Some(finder) if finder.is_match(text) => Cow::Owned(finder.replace_all(text, &self.shown)),
            _ => Cow::Borrowed(text),
        }
    }

    /// The text without secrets, in its own place.
    pub fn scrub_in_place(&self, text: &mut String) {
        if let Cow::Owned(scrubbed) = self.scrub(text) {
            *text = scrubbed;
        }
    }
}

/// Whether a secret is looked for in texts. `true` and `false` are none, wherever they come from.
#[must_use]
pub fn is_scrubbed(secret: &str) -> bool {
    secret.len() >= SCRUBBED_BYTES_MIN && !matches!(secret, "true" | "false" | "null" | MASK)
}

/// A secret as it is, trimmed, and as it is written inside JSON, Rust's debug texts and addresses; each once.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    let mut add = |form: String| {
        if is_scrubbed(&form) && !forms.contains(&form) {
            forms.push(form);
        }
    };
    add(secret.trim().to_owned());
    let mut json = String::new();
    let mut url = String::new();
    for c in secret.trim().chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            c => json.push(c),
        }
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~') {
            url.push(c);
        } else {
            let mut bytes = [0; 4];
            url.extend(c.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")));
        }
    }
    add(json);
    add(url);
    // A text of several lines, such as a private key, is logged line by line.
    secret.lines().filter(|line| line.len() >= 16).for_each(|line| add(line.to_owned()));
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_definition_or_by_name() {
        let key = ConfigKey { name: "pass", aliases: &[], kind: KeyKind::Secret, default: None, unit: "", doc: "" };
        let open = ConfigKey { name: "token.count", kind: KeyKind::Text, ..key };
        assert!(is_secret("pass", &[key, open]));
        assert!(!is_secret("token.count", &[key, open]));
        assert!(is_secret("jdbc.Password", &[]));
        assert!(is_secret("transforms.x.apiKey", &[]));
        assert!(!is_secret("filename", &[]));
    }

    #[test]
    fn values_are_shown_without_their_secrets() {
        for (value, secret, expected) in [
            ("hunter2", true, MASK),
            ("", true, ""),
            ("${env:PASS}", true, "${env:PASS}"),
            ("x${env:PASS}", true, MASK),
            ("hunter2", false, "hunter2"),
            ("redis://user:hunter2@host:6379/0", false, "redis://user:******@host:6379/0"),
            ("redis://:hunter2@host", false, "redis://:******@host"),
            ("http://u:a@b@host", false, "http://u:******@host"),
            ("http://u:${env:P}@host", false, "http://u:${env:P}@host"),
            ("http://host:80/a@b", false, "http://host:80/a@b"),
            ("a://u:p1@h,b://u:p2@h", false, "a://u:******@h,b://u:******@h"),
            ("jdbc:mysql://h/d?user=u&password=hunter2&x=y", false, "jdbc:mysql://h/d?user=u&password=******&x=y"),
            ("jdbc:sqlserver://h;Password=hunter2;x=y", false, "jdbc:sqlserver://h;Password=******;x=y"),
            ("jdbc:x://u:one@h?password=two", false, "jdbc:x://u:******@h?password=******"),
            ("password=is not an address", false, "password=is not an address"),
            ("ä://ö:ü@ß", false, "ä://ö:******@ß"),
        ] {
            assert_eq!(shown(value, secret), expected, "{value}");
        }
    }

    #[test]
    fn secrets_are_taken_out_of_texts() {
        let scrubber = Scrubber::new([
            ("hunter2", MASK),
            ("hunter2-long", "${env:LONG}"),
            ("abc", MASK),
            ("true", MASK),
            ("a\"b c", MASK),
        ]);
        for (text, expected) in [
            ("nothing", "nothing"),
            ("login with hunter2 failed", "login with ****** failed"),
            ("hunter2-long!", "${env:LONG}!"),
            ("hunter2hunter2", "************"),
            ("abc true", "abc true"),
            (r#"{"p":"a\"b c"}"#, r#"{"p":"******"}"#),
            ("p=a%22b%20c&", "p=******&"),
        ] {
            assert_eq!(scrubber.scrub(text), expected, "{text}");
        }
        assert!(Scrubber::new([]).is_empty());
        assert_eq!(format!("{:?}", Secret("x".to_owned())), MASK);
    }
}
