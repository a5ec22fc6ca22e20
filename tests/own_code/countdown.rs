//! `countdown-source`: counts down from a number to 1, a record each.
//!
//! One partition, `{"countdown": "<from>"}`; offset `{"left": "<records still to come>"}`. One task.

use std::rc::Rc;
use std::sync::Arc;

use rmqc_fast::prelude::*;

const FROM: ConfigKey = ConfigKey {
    name: "from",
    aliases: &[],
    kind: KeyKind::Integer { min: 1, max: 1_000_000_000 },
    default: None,
    unit: "records",
    doc: "Where the countdown begins.",
};
const KEYS: &[ConfigKey] = &[FROM];

/// Name of the offset's member.
const LEFT: &str = "left";

struct Countdown {
    host: Rc<dyn Host>,
    partition: Arc<RecordPartition>,
    left: u64,
}

impl Countdown {
    fn new(context: &TaskContext) -> Result<Self> {
        let from = FROM.integer(&context.config).unsigned_abs();
        let partition = RecordPartition::single("countdown", from.to_string());
        let left = match context.stored_offset(&partition).and_then(|stored| stored.offset.get(LEFT)) {
            None => from,
            Some(Scalar::Text(text)) => text.parse().map_err(|error| {
                ConnectError::fatal(Stage::Lifecycle, format!("the committed position has {LEFT}={text}, no number"))
                    .caused_by(error)
            })?,
            Some(other) => {
                let what = format!("the committed position has {LEFT}={other:?}, expected a number as text");
                return Err(ConnectError::fatal(Stage::Lifecycle, what));
            }
        };
        Ok(Self { host: context.host.clone(), partition: Arc::new(partition), left })
    }
}

impl SourceTask for Countdown {
    async fn start(&mut self) -> Result<()> {
        Ok(())
    }

    async fn poll(&mut self, batch: &mut RecordBatch) -> Result<()> {
        if self.left == 0 {
            // Nothing more will come; the task waits to be stopped.
            return std::future::pending().await;
        }
        while self.left > 0 && !batch.is_full() {
            let value = self.left.to_string();
            // Counted and pushed with no await in between: a future that is dropped leaves nothing half done.
            self.left -= 1;
            let bytes = value.len();
            let offset = RecordOffset::Counter { field: LEFT, value: self.left };
            let position = Some(Position { partition: self.partition.clone(), offset });
            batch.push(ConnectRecord { value: Value::text(value), position, ..ConnectRecord::default() }, bytes);
            self.host.yield_if_needed().await;
        }
        Ok(())
    }
}

register! {
    ConnectorFactory {
        name: "countdown-source",
        java_class: "com.example.CountdownSourceConnector",
        java_task_class: "com.example.CountdownSourceTask",
        keys: KEYS,
        validate: |properties| check_all(KEYS, properties),
        task_configs: |properties, _max_tasks| {
            check_all(KEYS, properties)?;
            Ok(vec![properties.clone()])
        },
        shardable: false,
        build: TaskBuilder::Source(|context| {
            check_all(KEYS, &context.config)
                .map_err(|errors| ConnectError::fatal(Stage::Lifecycle, "bad configuration").caused_by(errors))?;
            Ok(Box::new(Countdown::new(&context)?))
        }),
    }
}
