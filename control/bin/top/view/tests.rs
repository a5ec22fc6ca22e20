use ratatui::Terminal;
use ratatui::backend::TestBackend;
use rmqc_control::rest::LatencyInfo;
use rmqc_control::rest::flow::{
    FailedRecordV1, HealthV1, HoldingV1, LimitV1, QueueV1, SpanLatencyV1, StepSharesV1, TaskFlowV1, WindowV1,
    WorkerFlow,
};

use super::*;
use crate::top::asker::Answer;

fn text(text: &str) -> String {
    text.to_owned()
}

/// A worker with a sink that its target holds up, and a source at rest with an unfriendly name.
fn flow() -> FlowV1 {
    let latency = LatencyInfo { count: 1000, p50: 1.5, p90: 2.5, p99: 12.25, p999: 20.0, p9999: 21.0, max: 22.0 };
    let step = |name: &str, busy, starved, blocked| StepSharesV1 { step: text(name), busy, starved, blocked };
    let task = TaskFlowV1 {
        task: 0,
        shard: Some(1),
        state: text("RUNNING"),
        health: HealthV1 { state: text("CATCHING_UP"), cause: text("it delivers, and 1240000 records wait") },
        holding: Some(HoldingV1 { stage: text("TASK_PUT"), cause: text("disk full"), since_ms: 12_000, tries: 7 }),
        queues: vec![QueueV1 {
            topic: text("orders"),
            broker: text("broker-a"),
            queue_id: 3,
            done: 100,
            end: Some(1_240_100),
            lag_records: Some(1_240_000),
            lag_ms: Some(90_000),
        }],
        failed: vec![FailedRecordV1 {
            at_ms: 0,
            stage: text("CONVERTER"),
            error: text("no number"),
            position: text("orders 3:17"),
            value: text("{\"a\":\u{1b}[2J}"),
            outcome: text("dead letter"),
        }],
        ..TaskFlowV1::default()
    };
    let sink = ConnectorFlowV1 {
        name: text("orders"),
        kind: text("sink"),
        class: text("FileSink"),
        state: text("RUNNING"),
        health: HealthV1 { state: text("CATCHING_UP"), cause: text("it delivers, and 1240000 records wait") },
        limit: LimitV1 {
            by: text("target"),
            sentence: text(
                "limited by the target: put took 93 % of the last 5 s, 12,400 records/s; 1.2 M records wait, done in about \
                 1 min 40 s",
            ),
            confidence: 0.93,
            advice: text("See the target's disk."),
        },
        records_per_second: Some(12_400.0),
        bytes_per_second: Some(3_100_000.0),
        lag_records: Some(1_240_000),
        catch_up_seconds: Some(100.0),
        latency_ms: vec![SpanLatencyV1 { span: text("store_to_put"), latency }],
        steps: vec![step("pull", 0.02, 0.05, 0.0), step("put", 0.7, 0.0, 0.23)],
        window: WindowV1 { records: 50, records_max: 100, bytes: 0, bytes_max: 0 },
        records_total: 55_000,
        retries: 7,
        dead_letters: 1,
        tasks: vec![task],
        ..ConnectorFlowV1::default()
    };
    let source = ConnectorFlowV1 {
        name: text("e\u{1b}[31mvil"),
        kind: text("source"),
        state: text("PAUSED"),
        health: HealthV1 { state: text("PAUSED"), cause: text("it is paused") },
        limit: LimitV1 { by: text("nothing"), sentence: text("it is paused"), confidence: 1.0, advice: String::new() },
        ..ConnectorFlowV1::default()
    };
    let shard = |shard, busy, tasks| ShardFlowV1 { shard, busy, tasks, ..ShardFlowV1::default() };
    FlowV1 {
        window_ms: 5000,
        worker: WorkerFlow {
            id: text("worker-1"),
            version: text("0.1.0"),
            driver: text("epoll"),
            uptime_ms: 7_500_000,
            rss_bytes: Some(34_000_000),
            cpu_share: Some(1.25),
            cluster: text("embedded"),
            ..WorkerFlow::default()
        },
        shards: vec![shard(0, Some(0.42), Some(3)), shard(1, Some(1.0), Some(1)), shard(2, None, None)],
        connectors: vec![source, sink],
        ..FlowV1::default()
    }
}

fn model(colours: bool) -> Model {
    let mut model = Model::new(colours);
    model.take(Answer::Flow(Ok(Box::new(flow()))));
    model.chosen = Some(text("orders"));
    model
}

fn screen(model: &Model, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, model)).unwrap();
    terminal
}

/// The lines of the screen, without blanks at their ends.
fn drawn(model: &Model, width: u16, height: u16) -> Vec<String> {
    let terminal = screen(model, width, height);
    let buffer = terminal.backend().buffer();
    let cells: Vec<&str> = buffer.content().iter().map(ratatui::buffer::Cell::symbol).collect();
    cells.chunks(usize::from(width)).map(|line| line.concat().trim_end().to_owned()).collect()
}

#[track_caller]
fn compare(model: &Model, expected: &str) {
    let lines = drawn(model, 80, 24);
    let shown = lines.join("\n");
    assert_eq!(shown.trim_end(), expected.trim(), "\n{shown}\n");
}

#[test]
fn the_table_fits_a_small_terminal() {
    compare(&model(false), TABLE);
}

#[test]
fn a_connector_fills_a_page() {
    let mut model = model(false);
    model.page = Page::Detail(0);
    compare(&model, DETAIL);
    model.page = Page::Detail(3);
    assert!(drawn(&model, 80, 24)[6].starts_with("        records/s; 1.2 M"), "{:#?}", drawn(&model, 80, 24));
}

#[test]
fn a_wide_terminal_has_the_sentence_in_the_table() {
    let lines = drawn(&model(false), 200, 24);
    let row = lines.iter().find(|line| line.contains("orders") && line.contains("RUNNING")).unwrap();
    assert!(row.contains("limited by the target: put took 93 %"), "{row}");
}

#[test]
fn keys_questions_and_messages_are_shown() {
    let mut model = model(false);
    model.page = Page::Help;
    let shown = drawn(&model, 80, 24).join("\n");
    KEYS.iter().for_each(|(keys, what)| assert!(shown.contains(keys) && shown.contains(what), "{keys}: {shown}"));
    model.question = Some(text("orders"));
    assert_eq!(drawn(&model, 80, 24)[23], "Restart orders and its tasks? y/n");
    model.question = None;
    model.message = text("orders is paused");
    assert_eq!(drawn(&model, 80, 24)[23], "orders is paused");
}

#[test]
fn a_worker_that_does_not_answer_is_told() {
    let mut nobody = Model::new(false);
    assert_eq!(drawn(&nobody, 80, 24)[1], "asking the worker …");
    nobody.take(Answer::Flow(Err(text("no worker answers at http://x"))));
    assert_eq!(drawn(&nobody, 80, 24)[1], "no worker answers at http://x");
    let mut model = model(false);
    model.silent_seconds = 9;
    assert_eq!(drawn(&model, 80, 24)[1], "no answer for 9 s; what is shown is that old");
    model.take(Answer::Flow(Err(text("no worker answers at http://x"))));
    assert_eq!(drawn(&model, 80, 24)[1], "no worker answers at http://x");
    assert!(drawn(&model, 80, 24).iter().any(|line| line.contains("orders")), "the last document stays");
}

#[test]
fn colours_are_used_only_where_they_may_be_and_change_no_text() {
    let coloured = |model: &Model| {
        let terminal = screen(model, 80, 24);
        terminal.backend().buffer().content().iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
    };
    for page in [Page::Table, Page::Detail(0)] {
        let (mut with, mut without) = (model(true), model(false));
        (with.page, without.page) = (page, page);
        assert!(coloured(&with) && !coloured(&without), "{page:?}");
        assert_eq!(drawn(&with, 80, 24), drawn(&without, 80, 24));
    }
}

#[test]
fn any_size_can_be_drawn() {
    let mut many = flow();
    many.shards = (0..300).map(|shard| ShardFlowV1 { shard, busy: Some(9.9), ..ShardFlowV1::default() }).collect();
    let mut model = model(true);
    model.take(Answer::Flow(Ok(Box::new(many))));
    assert!(drawn(&model, 80, 24)[5].starts_with("… and 294 shards more"), "{:#?}", drawn(&model, 80, 24));
    for page in [Page::Table, Page::Detail(0), Page::Detail(u16::MAX), Page::Help] {
        model.page = page;
        for (width, height) in [(1, 1), (10, 3), (20, 60), (79, 12), (300, 100)] {
            drawn(&model, width, height);
        }
    }
}

const TABLE: &str = r#"
worker-1 0.1.0 · epoll · up 2 h 5 min · RSS 34.0 MB · CPU 125 %
cluster embedded
shard 0  [||||      ] 42% 3 tasks       shard 1  [||||||||||]100% 1 tasks
shard 2  [          ]   - silent
12,400 records/s            █
at most 12,400              █
 CONNECTOR     STATE   HEALTH      RECORDS/S   MB/S     LAG P50/P99 MS LIMIT
 e [31mvil     PAUSED  PAUSED              -      -       -          - nothing
>orders        RUNNING CATCHING_UP    12,400    3.1   1.2 M   1.5/12.2 target











orders: limited by the target: put took 93 % of the last 5 s, 12,400 records/s;
1.2 M records wait, done in about 1 min 40 s. See the target's disk.

q end  ? keys  Enter show  s sort: name  p pause/resume  r restart
"#;

const DETAIL: &str = r#"
worker-1 0.1.0 · epoll · up 2 h 5 min · RSS 34.0 MB · CPU 125 %
cluster embedded
shard 0  [||||      ] 42% 3 tasks       shard 1  [||||||||||]100% 1 tasks
shard 2  [          ]   - silent
12,400 records/s            █
at most 12,400              █
orders  sink  RUNNING  FileSink
health  CATCHING_UP: it delivers, and 1240000 records wait
limit   limited by the target: put took 93 % of the last 5 s, 12,400
        records/s; 1.2 M records wait, done in about 1 min 40 s (confidence
        0.93)
advice  See the target's disk.
flow    12,400 records/s, 3.1 MB/s, 55,000 records in all, lag 1.2 M, done in
        1 min 40 s, window 50 % full, retries 7, dead letters 1
latency store_to_put ms: p50 1.5, p90 2.5, p99 12.2, p99.9 20.0, max 22.0

steps     # busy   ! blocked   . starved
pull      [.                       ] busy   2 % blocked   0 % starved   5 %
put       [#################!!!!!! ] busy  70 % blocked  23 % starved   0 %

task 0  RUNNING  shard 1  it delivers, and 1240000 records wait
  TASK_PUT fails for 12 s, 7 tries: disk full
  orders@broker-a:3  done 100 of 1240100  lag 1.2 M  age 1 min 30 s
q end  ? keys  Enter show  s sort: name  p pause/resume  r restart
"#;
