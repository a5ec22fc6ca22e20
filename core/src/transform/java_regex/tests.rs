use super::*;

/// What a JVM (17) does with these patterns: flags, pattern, replacement, then four columns for each text that was
/// looked at: the text, whether it matches as a whole (`W`) and somewhere (`F`), and what `replaceAll` and
/// `replaceFirst` make of it. `!` stands for a pattern that is refused, `?` for a replacement that is. `%{x}` is the
/// character of that hexadecimal number.
const GOLDEN: &str = include_str!("golden.tsv");

fn decoded(column: &str) -> String {
    let mut parts = column.split("%{");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let (code, rest) = part.split_once('}').unwrap();
        out.push(char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap());
        out.push_str(rest);
    }
    out
}

/// Patterns that Java takes and that are refused here, on purpose.
const REFUSED_HERE: [&str; 2] = [r"\1(a)", "[a&&]"];

#[test]
fn patterns_do_what_they_do_in_java() {
    let mut wrong = Vec::new();
    for line in GOLDEN.lines() {
        let columns: Vec<String> = line.split('\t').map(decoded).collect();
        let (flags, pattern, replacement) = (Flags::parse(&columns[0]).unwrap(), &columns[1], &columns[2]);
        let both = JavaRegex::whole(pattern, flags).and_then(|w| Ok((w, JavaRegex::search(pattern, flags)?)));
        // No column more: there was no text on which it matched.
        let first_case = columns.get(3).map(String::as_str);
        let name = format!("{pattern:?} ({})", columns[0]);
        let (whole, search) = match both {
            Ok(both) => both,
            Err(_) if first_case == Some("!") || REFUSED_HERE.contains(&pattern.as_str()) => continue,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        if first_case == Some("!") {
            wrong.push(format!("{name}: taken, but Java refuses it"));
            continue;
        }
        let replacement = search.replacement(replacement);
        if first_case == Some("?") {
            assert!(replacement.is_err(), "{name}");
            continue;
        }
        let replacement = replacement.unwrap();
        for case in columns[3..].chunks(4) {
            let [text, found, all, first] = case else { panic!("{name}: {case:?}") };
            // An empty match tears a surrogate pair apart in Java; here a character stays one.
            if text.contains('😀') && all.contains('?') {
                continue;
            }
            let is = |yes: bool, mark| if yes { mark } else { '-' };
            let ours: String =
                [is(whole.is_match(text).unwrap(), 'W'), is(search.is_match(text).unwrap(), 'F')].iter().collect();
            let replaced = |result: Result<Option<String>>| result.unwrap().unwrap_or_else(|| text.clone());
            let ours_all = replaced(search.replace_all(text, &replacement));
            let ours_first = replaced(search.replace_first(text, &replacement));
            if (&ours, &ours_all, &ours_first) != (found, all, first) {
                wrong.push(format!("{name} on {text:?}: {ours} {ours_all:?} {ours_first:?}, Java {case:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{} differences", wrong.join("\n"), wrong.len());
}

#[test]
fn what_is_refused_says_why() {
    let cases = [
        (r"\p{InGreek}", "Unicode blocks are not supported"),
        (r"\X", "\\X is not supported"),
        (r"a{2}{3}", "nothing stands before the {"),
        (r"\1(a)", "a back reference stands before its group"),
        ("a{1000000}", "the pattern can't be used"),
        ("(?:(?:a{500}){500}){500}", "the pattern can't be used"),
        (r"(?:(?=\b(a)\1){900}){900}", "the pattern can't be used"),
        ("[z-a]", "a range runs backwards, near character 5"),
        ("ab)", "a ) without its (, near character 3"),
    ];
    for (pattern, reason) in cases {
        let error = JavaRegex::search(pattern, Flags::default()).err().unwrap_or_default();
        assert!(error.contains(reason), "{pattern}: {error:?}");
    }
    assert!(JavaRegex::search(&"(".repeat(100_000), Flags::default()).is_err());
    assert!(JavaRegex::search(&"[".repeat(100_000), Flags::default()).is_err());
    assert!(JavaRegex::search(&"[a&&".repeat(100_000), Flags::default()).is_err());
    assert_eq!(Flags::parse("CANON_EQ").unwrap_err(), "the flag CANON_EQ is not supported");
    assert_eq!(Flags::parse("MULTILINE, X").unwrap_err(), "there is no flag X");
}

#[test]
fn endless_backtracking_is_a_bad_record() {
    let regex = JavaRegex::whole(r"(?:(a|aa)\1?)+b", Flags::default()).unwrap();
    let start = std::time::Instant::now();
    let error = regex.is_match(&"a".repeat(200)).unwrap_err();
    assert_eq!(error.retry(), crate::error::Retry::BadRecord);
    assert!(error.to_string().contains("100000 steps"), "{error}");
    assert!(start.elapsed() < std::time::Duration::from_secs(5));
}

#[test]
fn plain_patterns_never_backtrack() {
    let regex = JavaRegex::whole("^(?i)(a|aa)+$", Flags::default()).unwrap();
    assert!(!regex.is_match(&format!("{}b", "a".repeat(100_000))).unwrap());
}

#[test]
fn replacements_are_checked() {
    let regex = JavaRegex::search("(?<first>a)(b)", Flags::default()).unwrap();
    for wrong in ["$3", "$", "${other}", "${first", "\\", "$x"] {
        assert!(regex.replacement(wrong).is_err(), "{wrong}");
    }
    let replacement = regex.replacement("${first}$22\\$").unwrap();
    assert_eq!(regex.replace_all("xaby", &replacement).unwrap().as_deref(), Some("xab2$y"));
    assert_eq!(regex.replace_all("xy", &replacement).unwrap(), None);
}

proptest::proptest! {
    /// Whatever the pattern and the text: an answer or an error, never a panic, and never without end.
    #[test]
    fn no_pattern_panics(pattern in r"[ab0-9.*+?(){}\[\]|^$&\\<>=!:,QEpPLkdDwbBAzZGRxu#iU\n -]{0,24}", text in "[ab0-9\n-]{0,12}") {
        for flags in ["", "COMMENTS", "CASE_INSENSITIVE,MULTILINE"] {
            let flags = Flags::parse(flags).unwrap();
            if let (Ok(search), Ok(whole)) = (JavaRegex::search(&pattern, flags), JavaRegex::whole(&pattern, flags)) {
                let _ = whole.is_match(&text);
                if let Ok(replacement) = search.replacement("<$0>") {
                    let _ = search.replace_all(&text, &replacement);
                }
            }
        }
    }
}
