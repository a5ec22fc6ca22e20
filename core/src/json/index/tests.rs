use proptest::prelude::*;

use super::super::{Appender, Json, MemberName, Renamed, Renamer, decode, raw_member, unescape};
use super::*;
use crate::testing::json::json_text;
use crate::value::Value;

/// The members that the index has, if the text has one.
fn indexed(json: &Json) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let of = |place: &Place| {
        let member = place.member(json.text());
        (member.raw_name.to_vec(), member.raw_value.to_vec())
    };
    look(json.ticket, |index| index.places().iter().map(of).collect())
}

/// The members that are found by going through the text.
fn walked(json: &Json) -> Vec<(Vec<u8>, Vec<u8>)> {
    json.members().map(|member| (member.raw_name.to_vec(), member.raw_value.to_vec())).collect()
}

fn object(text: impl Into<Vec<u8>>) -> Option<Json> {
    match decode(text.into().into()) {
        Ok(Value::Json(json)) if json.is_object() => Some(json),
        _ => None,
    }
}

fn members(count: usize) -> String {
    let members: Vec<_> = (0..count).map(|at| format!("\"m{at}\": {at} ")).collect();
    format!(" {{ {} }} ", members.join(", "))
}

proptest! {
    #[test]
    fn an_index_has_the_members_of_the_text(text in json_text(), blanks in "[ \n]{0,3}") {
        let Some(json) = object(format!("{blanks}{text}{blanks}")) else { return Ok(()) };
        prop_assert_eq!(indexed(&json), Some(walked(&json)));
        for name in ["a", "b", "", "\u{e9}"] {
            prop_assert_eq!(MemberName::new(name).find(&json), raw_member(json.text(), name));
            prop_assert_eq!(json.raw_member(name), raw_member(json.text(), name));
        }
    }

    #[test]
    fn edits_take_the_index_along(text in json_text(), added in "[a\"\\\\\t\u{e9}]{0,3}", renamed in "[a-z]{0,20}") {
        let Some(mut json) = object(text) else { return Ok(()) };
        let (mut appender, mut renamer) = (Appender::new(&added), Renamer::default());
        for step in 0..4 {
            json = if step % 2 == 0 {
                appender.append(&json, br#"[{"b":1},"x"]"#)
            } else {
                let rename = |name: &[u8], new: &mut crate::json::NewName<'_>| {
                    if name.starts_with(b"a") {
                        new.set(format!("{renamed}{}", String::from_utf8_lossy(name)).as_bytes());
                    }
                    Ok(())
                };
                match renamer.rename(&json, rename).unwrap() {
                    Renamed::Edited(json) => json,
                    Renamed::Unchanged | Renamed::TakeApart => break,
                }
            };
            prop_assert_eq!(indexed(&json), Some(walked(&json)));
            let last = walked(&json).pop().map(|(name, _)| unescape(&name).into_owned()).unwrap();
            prop_assert_eq!(MemberName::new(last.clone()).find(&json), raw_member(json.text(), &last));
        }
    }
}

#[test]
fn the_last_text_has_the_index_and_the_others_are_gone_through() {
    let (one, other) = (object(r#"{"a":1,"b":2}"#).unwrap(), object(r#"{"b":3,"a":4}"#).unwrap());
    assert_eq!((indexed(&one), indexed(&other).is_some()), (None, true));
    for (json, found) in [(&one, b"1"), (&other, b"4")] {
        assert_eq!(MemberName::new("a").find(json), Some(&found[..]));
        assert_eq!(json.raw_member("a"), Some(&found[..]));
    }
    // The handle's copies have it too; a text that was refused leaves none behind.
    assert!(indexed(&other.clone()).is_some());
    assert!(object(r#"{"a":1,"b":}"#).is_none());
    assert_eq!(indexed(&other), None);
    assert_eq!(MemberName::new("a").find(&other), Some(&b"4"[..]));
}

#[test]
fn an_index_belongs_to_its_thread() {
    let here = object(r#"{"a":1}"#).unwrap();
    let there = here.clone();
    let found = std::thread::spawn(move || {
        let known = object(r#"{"a":2}"#).unwrap();
        assert!(indexed(&known).is_some() && known.ticket != there.ticket);
        (indexed(&there), MemberName::new("a").find(&there).map(<[u8]>::to_vec))
    });
    assert_eq!(found.join().unwrap(), (None, Some(b"1".to_vec())));
    assert!(indexed(&here).is_some());
}

#[test]
fn an_object_of_more_members_than_the_index_holds_is_gone_through() {
    for count in [0, 1, JSON_INDEXED_MEMBERS_MAX - 1, JSON_INDEXED_MEMBERS_MAX, JSON_INDEXED_MEMBERS_MAX + 1] {
        let json = object(members(count)).unwrap();
        assert_eq!(indexed(&json).is_some(), count <= JSON_INDEXED_MEMBERS_MAX, "{count}");
        let longer = Appender::new("new").append(&json, b"true");
        assert_eq!(indexed(&longer).is_some(), count < JSON_INDEXED_MEMBERS_MAX, "{count}");
        assert_eq!(MemberName::new("new").find(&longer), Some(&b"true"[..]));
        assert_eq!(longer.members().count(), count + 1);
    }
}

#[test]
fn a_callback_that_decodes_changes_nothing() {
    let json = object(r#"{"a":1,"b":{"c":2}}"#).unwrap();
    let renamed = Renamer::default().rename(&json, |_, new| {
        let other = object(r#"{"x":0}"#).unwrap();
        assert_eq!((indexed(&other), MemberName::new("x").find(&other)), (None, Some(&b"0"[..])));
        new.set(b"long");
        Ok(())
    });
    // Both names are the same now.
    assert_eq!(renamed.unwrap(), Renamed::TakeApart);
    assert!(indexed(&json).is_some());
}

#[test]
fn tickets_are_new_in_every_stretch() {
    let mut index = Index { last_ticket: 3 * STRETCH - 2, ..Index::new() };
    index.whole = true;
    let tickets: Vec<_> = (0..3).map(|_| index.take_ticket()).collect();
    assert_eq!(tickets[0], Ticket(3 * STRETCH - 1));
    assert!(tickets[1] != Ticket::NONE && tickets[1].0 % STRETCH == 0);
    assert_eq!(tickets[2], Ticket(tickets[1].0 + 1));
}
