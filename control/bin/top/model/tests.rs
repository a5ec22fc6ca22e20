use rmqc_control::rest::flow::HealthV1;

use super::*;

/// A document: names, records a second, lag, health.
pub(in crate::top) fn document(connectors: &[(&str, f64, u64, &str)]) -> FlowV1 {
    let one = |(name, rate, lag, health): &(&str, f64, u64, &str)| ConnectorFlowV1 {
        name: (*name).to_owned(),
        state: if *health == "PAUSED" { "PAUSED".to_owned() } else { "RUNNING".to_owned() },
        health: HealthV1 { state: (*health).to_owned(), cause: String::new() },
        records_per_second: Some(*rate),
        lag_records: Some(*lag),
        ..ConnectorFlowV1::default()
    };
    FlowV1 { connectors: connectors.iter().map(one).collect(), ..FlowV1::default() }
}

fn three() -> Model {
    let mut model = Model::new(false);
    let flow = document(&[("a", 5.0, 0, "HEALTHY"), ("b", 9.0, 7, "PAUSED"), ("c x", 1.0, 90, "FAILED")]);
    model.take(Answer::Flow(Ok(Box::new(flow))));
    model
}

fn press(model: &mut Model, keys: &[KeyCode]) -> Effect {
    let mut effect = Effect::None;
    for key in keys {
        effect = model.key(KeyEvent::new(*key, KeyModifiers::NONE));
    }
    effect
}

fn chosen(model: &Model) -> &str {
    model.chosen.as_deref().unwrap()
}

#[test]
fn one_goes_up_and_down_the_table() {
    use KeyCode::{Char, Down, PageDown, PageUp, Up};
    for (keys, name) in [
        (&[] as &[KeyCode], "a"),
        (&[Down], "b"),
        (&[Char('j'), Char('j'), Char('j')], "c x"),
        (&[PageDown, Char('k')], "b"),
        (&[PageDown, PageUp], "a"),
        (&[Up], "a"),
    ] {
        let mut model = three();
        assert_eq!(press(&mut model, keys), Effect::None);
        assert_eq!(chosen(&model), name, "{keys:?}");
    }
}

#[test]
fn the_order_changes_and_the_choice_stays() {
    let mut model = three();
    press(&mut model, &[KeyCode::Down]);
    for (sort, names) in [
        (Sort::Rate, ["b", "a", "c x"]),
        (Sort::Lag, ["c x", "b", "a"]),
        (Sort::Health, ["c x", "b", "a"]),
        (Sort::Name, ["a", "b", "c x"]),
    ] {
        press(&mut model, &[KeyCode::Char('s')]);
        let order: Vec<&str> = model.connectors().iter().map(|one| one.name.as_str()).collect();
        assert_eq!((model.sort, order.as_slice(), chosen(&model)), (sort, names.as_slice(), "b"));
    }
}

#[test]
fn changes_are_asked_for() {
    let change = |method, path: &str, done: &str| {
        Effect::Change(Change { method, path: path.to_owned(), done: done.to_owned() })
    };
    let mut model = three();
    assert_eq!(press(&mut model, &[KeyCode::Char('p')]), change("PUT", "/v1/connectors/a/pause", "a is paused"));
    press(&mut model, &[KeyCode::Down]);
    assert_eq!(press(&mut model, &[KeyCode::Char('p')]), change("PUT", "/v1/connectors/b/resume", "b goes on"));
    // A restart only after a yes.
    press(&mut model, &[KeyCode::Down, KeyCode::Char('r')]);
    assert_eq!(model.question.as_deref(), Some("c x"));
    assert_eq!(press(&mut model, &[KeyCode::Char('n')]), Effect::None);
    assert_eq!(press(&mut model, &[KeyCode::Char('y')]), Effect::None, "the question is over");
    let path = "/v1/connectors/c%20x/restart?includeTasks=true";
    let restart = change("POST", path, "c x and its tasks are restarted");
    assert_eq!(press(&mut model, &[KeyCode::Char('r'), KeyCode::Char('y')]), restart);
    model.take(Answer::Changed("done".to_owned()));
    assert_eq!(model.message, "done");
    press(&mut model, &[KeyCode::Up]);
    assert_eq!(model.message, "", "what was said is read");
    // q is no yes, and does not end while a question is open.
    assert_eq!(press(&mut model, &[KeyCode::Char('r'), KeyCode::Char('q')]), Effect::None);
    // Nothing to change where there is nothing.
    assert_eq!(press(&mut Model::new(false), &[KeyCode::Char('p')]), Effect::None);
    assert_eq!(press(&mut Model::new(false), &[KeyCode::Char('r'), KeyCode::Char('y')]), Effect::None);
}

#[test]
fn pages_come_and_go() {
    let mut model = three();
    for (key, page) in [
        (KeyCode::Enter, Page::Detail(0)),
        (KeyCode::Down, Page::Detail(1)),
        (KeyCode::PageDown, Page::Detail(3)),
        (KeyCode::PageUp, Page::Detail(0)),
        (KeyCode::Esc, Page::Table),
        (KeyCode::Char('?'), Page::Help),
        (KeyCode::Down, Page::Help),
        (KeyCode::Char('?'), Page::Table),
    ] {
        press(&mut model, &[key]);
        assert_eq!(model.page, page, "{key:?}");
    }
    assert_eq!(press(&mut model, &[KeyCode::Char('q')]), Effect::Quit);
    assert_eq!(model.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Effect::Quit);
}

#[test]
fn a_connector_that_is_gone_is_chosen_no_more() {
    let mut model = three();
    press(&mut model, &[KeyCode::Down, KeyCode::Char('r')]);
    model.page = Page::Detail(2);
    model.take(Answer::Flow(Ok(Box::new(document(&[("a", 5.0, 0, "HEALTHY")])))));
    assert_eq!((chosen(&model), model.page, &model.question), ("a", Page::Table, &None));
    model.take(Answer::Flow(Ok(Box::default())));
    assert_eq!(model.chosen, None);
}

#[test]
fn trouble_passes_and_the_last_document_stays() {
    let mut model = three();
    model.take(Answer::Flow(Err("nobody answers".to_owned())));
    assert_eq!((model.trouble.as_deref(), model.connectors().len()), (Some("nobody answers"), 3));
    let before = model.clone();
    model.take(Answer::Flow(Ok(Box::new(document(&[("a", 7.5, 0, "HEALTHY")])))));
    assert!(model.trouble.is_none() && model != before);
    assert_eq!(model.history, [15, 7]);
    for _ in 0..2 * HISTORY_MAX {
        model.take(Answer::Flow(Ok(Box::default())));
    }
    assert_eq!(model.history.len(), HISTORY_MAX);
}
