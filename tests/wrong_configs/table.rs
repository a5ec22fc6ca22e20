//! The table. A value or text that begins with `=` is the whole of it, any other a part of it; `ROOT` stands for the directory
//! below which files may be read.

use rmqc_control::controller::{define, validate};
use rmqc_core::config::Properties;
use rmqc_core::config::connector::TOPIC_NAME;
use rmqc_core::config::key::ConfigError;

use crate::port::{Room, files_below, properties, run, settings};

type Pairs = &'static [(&'static str, &'static str)];

/// A fault: its key, its value, part of what is said, part of the remedy.
type Fault = (&'static str, Option<&'static str>, &'static str, &'static str);

/// A right configuration, what is put over it, and everything that is wrong then.
type Case = (Pairs, Pairs, &'static [Fault]);

const NONE: Pairs = &[];
const SOURCE: Pairs = &[("connector.class", "file-source"), ("filename", "f"), ("connect.topicname", "t")];
const SINK: Pairs = &[("connector.class", "file-sink"), ("filename", "f"), ("connect.topicnames", "t")];
const GENERATOR: Pairs = &[("connector.class", "generator-source"), ("connect.topicname", "t")];
const BLACKHOLE: Pairs = &[("connector.class", "blackhole-sink"), ("connect.topicnames", "t")];
const DIRECT: Pairs = &[
    ("connector.class", "file-source"),
    ("filename", "f"),
    ("connector.direct.enable", "true"),
    ("source.task.class", "file-source"),
    ("sink.task.class", "blackhole-sink"),
];

const CASES: &[Case] = &[
    (
        NONE,
        &[],
        &[("connector.class", None, "=Request config key: connector.class", "set connector.class: Which connector")],
    ),
    (
        NONE,
        &[("connector-class", "file-source")],
        &[(
            "connector.class",
            None,
            "=Request config key: connector.class",
            "write connector.class instead of connector-class",
        )],
    ),
    (
        NONE,
        &[("connector.class", "")],
        &[(
            "connector.class",
            Some(""),
            "Failed to find any class that implements Connector and which name matches , ",
            "write one of",
        )],
    ),
    (
        NONE,
        &[("connector.class", "FileSuorce")],
        &[(
            "connector.class",
            Some("FileSuorce"),
            "Failed to find any class that implements Connector and which name matches FileSuorce, ",
            "did you mean org.apache.rocketmq.connect.file.FileSourceConnector?",
        )],
    ),
    (
        NONE,
        &[("connector.class", "io.debezium.MySqlConnector")],
        &[(
            "connector.class",
            Some("io.debezium.MySqlConnector"),
            "Failed to find any class",
            "write one of blackhole-sink, file-sink, file-source, generator-source",
        )],
    ),
    (
        NONE,
        &[("connector.class", "x.Y"), ("max.tasks", "0"), ("errors.tolerance", "some")],
        &[
            ("connector.class", Some("x.Y"), "Failed to find", "write one of"),
            ("max.tasks", Some("0"), "expected a whole number from 1 to 1024", "write 1 or more"),
            ("errors.tolerance", Some("some"), "expected one of none, all", "write one of none, all"),
        ],
    ),
    (
        SOURCE,
        &[("max.tasks", "abc")],
        &[("max.tasks", Some("abc"), "=For input string: \"abc\"", "write a whole number in digits")],
    ),
    (SOURCE, &[("max.tasks", "")], &[("max.tasks", Some(""), "=For input string: \"\"", "write a whole number")]),
    (SOURCE, &[("max.tasks", "1025")], &[("max.tasks", Some("1025"), "from 1 to 1024", "write 1024 or less")]),
    (SOURCE, &[("tasks.max", "-1")], &[("max.tasks", Some("-1"), "from 1 to 1024", "write 1 or more")]),
    (
        SOURCE,
        &[("max.tasks", "1"), ("tasks.max", "2")],
        &[(
            "max.tasks",
            Some("1"),
            "but tasks.max, another spelling of it, is \"2\"",
            "leave out tasks.max, or give both one value",
        )],
    ),
    (
        SOURCE,
        &[("ordering.msg.enable", "yes")],
        &[(
            "ordering.msg.enable",
            Some("yes"),
            "expected true or false",
            "write true or false, or leave the key out, which means false",
        )],
    ),
    (
        SOURCE,
        &[("ordering.msg.enable", "true"), ("ordering.msg.enabled", "false")],
        &[(
            "ordering.msg.enable",
            Some("true"),
            "but ordering.msg.enabled, another spelling",
            "leave out ordering.msg.enabled",
        )],
    ),
    (
        SOURCE,
        &[("uncommitted.records", "0")],
        &[("uncommitted.records", Some("0"), "from 1 to 2147483647", "which means 65536 records")],
    ),
    (SOURCE, &[("uncommitted.bytes", "1MB")], &[("uncommitted.bytes", Some("1MB"), "from 1024 to", "without unit")]),
    (SOURCE, &[("commit.interval.ms", "0.5")], &[("commit.interval.ms", Some("0.5"), "a whole number", "in digits")]),
    (
        SOURCE,
        &[("batch.bytes", "5000000")],
        &[("batch.bytes", Some("5000000"), "from 1024 to 4000000", "write 4000000 or less")],
    ),
    (SOURCE, &[("batch.messages", "-5")], &[("batch.messages", Some("-5"), "from 1 to 65536", "write 1 or more")]),
    (
        SOURCE,
        &[("inflight.requests", "many")],
        &[("inflight.requests", Some("many"), "from 1 to 1024", "which means 8 requests")],
    ),
    (
        SOURCE,
        &[("errors.tolerance", "al")],
        &[("errors.tolerance", Some("al"), "expected one of none, all", "did you mean all?")],
    ),
    (
        SOURCE,
        &[("errors.retry.timeout", "-2")],
        &[("errors.retry.timeout", Some("-2"), "from -1 to", "write -1 or more")],
    ),
    (
        SOURCE,
        &[("errors.retry.delay.max.ms", "60s")],
        &[("errors.retry.delay.max.ms", Some("60s"), "a whole number", "without unit")],
    ),
    (
        SOURCE,
        &[("errors.log.enable", "1"), ("errors.log.include.messages", "on")],
        &[
            ("errors.log.enable", Some("1"), "true or false", "write true or false"),
            ("errors.log.include.messages", Some("on"), "true or false", "write true or false"),
        ],
    ),
    (
        SINK,
        &[("errors.deadletterqueue.read.queue.nums", "0"), ("errors.deadletterqueue.write.queue.nums", "9999")],
        &[
            ("errors.deadletterqueue.read.queue.nums", Some("0"), "from 1 to 1024", "write 1 or more"),
            ("errors.deadletterqueue.write.queue.nums", Some("9999"), "from 1 to 1024", "write 1024 or less"),
        ],
    ),
    (
        SINK,
        &[("errors.deadletterqueue.context.headers.enable", "maybe")],
        &[(
            "errors.deadletterqueue.context.properties.enable",
            Some("maybe"),
            "expected true or false",
            "write true or false",
        )],
    ),
    (
        SINK,
        &[
            ("errors.deadletterqueue.context.headers.enable", "true"),
            ("errors.deadletterqueue.context.properties.enable", "false"),
        ],
        &[(
            "errors.deadletterqueue.context.properties.enable",
            Some("false"),
            "another spelling",
            "leave out errors.deadletterqueue.context.headers.enable",
        )],
    ),
    (
        SOURCE,
        &[("errors.breaker.percent", "101"), ("errors.breaker.records", "0")],
        &[
            ("errors.breaker.percent", Some("101"), "from 0 to 100", "write 100 or less"),
            ("errors.breaker.records", Some("0"), "from 1 to", "write 1 or more"),
        ],
    ),
    (
        NONE,
        &[("connector.class", "file-sink")],
        &[
            (
                "connect.topicnames",
                None,
                "=Config connect.topicnames cannot be empty",
                "set connect.topicnames: Sink: topics to read",
            ),
            ("filename", None, "=Request config key: filename", "set filename:"),
        ],
    ),
    (
        NONE,
        &[("connector.class", "blackhole-sink"), ("connect.topicnames", " ; ,")],
        &[("connect.topicnames", Some("; ,"), "=Config connect.topicnames cannot be empty", "set connect.topicnames")],
    ),
    (
        NONE,
        &[("connector.class", "blackhole-sink"), ("connect.topicname", "t")],
        &[(
            "connect.topicnames",
            None,
            "=Config connect.topicnames cannot be empty",
            "write connect.topicnames instead of connect.topicname",
        )],
    ),
    (
        NONE,
        &[("connector.class", "blackhole-sink"), ("topics.regex", "t.*")],
        &[(
            "connect.topicnames",
            None,
            "=Config connect.topicnames cannot be empty",
            "write connect.topicnames instead of topics.regex",
        )],
    ),
    (
        SINK,
        &[("topics", "other")],
        &[("connect.topicnames", Some("t"), "but topics, another spelling of it, is \"other\"", "leave out topics")],
    ),
    (
        SINK,
        &[("consume.from.where", "earliest")],
        &[(
            "consume.from.where",
            Some("earliest"),
            "expected one of CONSUME_FROM_FIRST_OFFSET",
            "write one of CONSUME_FROM_FIRST_OFFSET",
        )],
    ),
    (
        SINK,
        &[("consume.from.where", "CONSUME_FROM_FRIST_OFFSET")],
        &[(
            "consume.from.where",
            Some("CONSUME_FROM_FRIST_OFFSET"),
            "expected one of",
            "did you mean CONSUME_FROM_FIRST_OFFSET?",
        )],
    ),
    (
        SINK,
        &[("consume.timestamp", "2024-01-01")],
        &[("consume.timestamp", Some("2024-01-01"), "a whole number", "in digits")],
    ),
    (
        SINK,
        &[("offset.out.of.range", "erliest")],
        &[("offset.out.of.range", Some("erliest"), "one of earliest, latest, fail", "did you mean earliest?")],
    ),
    (
        NONE,
        &[("connector.class", "file-source")],
        &[("filename", None, "=Request config key: filename", "set filename: File to follow")],
    ),
    (
        NONE,
        &[("connector.class", "file-source"), ("filname", "f")],
        &[("filename", None, "=Request config key: filename", "write filename instead of filname")],
    ),
    (
        NONE,
        &[("connector.class", "file-source"), ("filename", " , ")],
        &[("filename", Some(","), "Config filename is empty", "File to follow")],
    ),
    (SOURCE, &[("filename", "a,b,a")], &[("filename", Some("a,b,a"), "names \"a\" twice", "File to follow")]),
    (SOURCE, &[("batch.size", "0")], &[("batch.size", Some("0"), "from 1 to", "write 1 or more")]),
    (
        SOURCE,
        &[("start.at", "begin")],
        &[("start.at", Some("begin"), "one of beginning, end", "did you mean beginning?")],
    ),
    (
        SOURCE,
        &[("unterminated.line", "delver"), ("unterminated.line.timeout.ms", "0"), ("line.bytes.max", "x")],
        &[
            ("unterminated.line", Some("delver"), "one of hold, deliver", "did you mean deliver?"),
            ("unterminated.line.timeout.ms", Some("0"), "from 1 to 86400000", "write 1 or more"),
            ("line.bytes.max", Some("x"), "a whole number", "which means 4128768 bytes"),
        ],
    ),
    (
        NONE,
        &[("connector.class", "file-sink"), ("connect.topicnames", "t"), ("filename", " ")],
        &[("filename", None, "Config filename is empty", "filename")],
    ),
    (
        SINK,
        &[("fsync", "always"), ("null.value", "drop"), ("value.format", "xml")],
        &[
            ("fsync", Some("always"), "one of never, commit, batch", "write one of"),
            ("null.value", Some("drop"), "one of text, skip, fail", "write one of"),
            ("value.format", Some("xml"), "one of text, json", "write one of"),
        ],
    ),
    (GENERATOR, &[("records", "-1")], &[("records", Some("-1"), "from 0", "write 0 or more")]),
    (GENERATOR, &[("record.bytes", "20")], &[("record.bytes", Some("20"), "from 21 to", "write 21 or more")]),
    (
        GENERATOR,
        &[("records.per.second", "fast"), ("key.count", "70000"), ("seed", "x")],
        &[
            ("records.per.second", Some("fast"), "a whole number", "in digits"),
            ("key.count", Some("70000"), "from 0 to 65536", "write 65536 or less"),
            ("seed", Some("x"), "a whole number", "in digits"),
        ],
    ),
    (GENERATOR, &[("stripe", "3/2")], &[("stripe", Some("3/2"), "expected <i>/<k>", "give another value")]),
    (BLACKHOLE, &[("put.delay.ms", "1s")], &[("put.delay.ms", Some("1s"), "from 0 to 3600000", "without unit")]),
    (
        SOURCE,
        &[("value.converter", "avro")],
        &[(
            "value.converter",
            Some("avro"),
            "Failed to find any class that implements RecordConverter and which name matches avro",
            "write one of bytes, double",
        )],
    ),
    (
        SOURCE,
        &[("key.converter", "org.apache.kafka.connect.json.JsonConvertr")],
        &[(
            "key.converter",
            Some("org.apache.kafka.connect.json.JsonConvertr"),
            "Failed to find any class that implements RecordConverter",
            "did you mean org.apache.rocketmq.connect.runtime.converter.record.json.JsonConverter?",
        )],
    ),
    (
        SOURCE,
        &[("value.converter", "json"), ("value.converter.schemas.enable", "no")],
        &[(
            "value.converter.schemas.enable",
            Some("no"),
            "Config value.converter.schemas.enable is \"no\"",
            "write true or false",
        )],
    ),
    (
        SOURCE,
        &[
            ("value.converter", "json"),
            ("value.converter.decimal.format", "NUMERIK"),
            ("value.converter.schemas.cache.size", "-1"),
        ],
        &[
            ("value.converter.decimal.format", Some("NUMERIK"), "one of", "did you mean NUMERIC?"),
            ("value.converter.schemas.cache.size", Some("-1"), "from 0", "write 0 or more"),
        ],
    ),
    (
        SOURCE,
        &[("key.converter.serializer.encoding", "UTF-9")],
        &[("key.converter.serializer.encoding", Some("UTF-9"), "expected a character set", "did you mean")],
    ),
    (
        SOURCE,
        &[("key.converter", "x"), ("value.converter", "y")],
        &[
            ("key.converter", Some("x"), "matches x", "write one of"),
            ("value.converter", Some("y"), "matches y", "write one of"),
        ],
    ),
    (
        SOURCE,
        &[("transforms", "a")],
        &[("transforms.a.class", None, "=Request config key: transforms.a.class", "set transforms.a.class")],
    ),
    (
        SOURCE,
        &[("transforms", "a"), ("transforms.a.class", "MaskFeild$Value")],
        &[(
            "transforms.a.class",
            Some("MaskFeild$Value"),
            "Failed to find any class that implements Transform",
            "did you mean org.apache.rocketmq.connect.transforms.MaskField?",
        )],
    ),
    (
        SOURCE,
        &[("transforms", "a"), ("transforms.a.class", "MaskField"), ("transforms.a.fields", "x")],
        &[(
            "transforms.a.class",
            Some("MaskField"),
            "expected MaskField$Key or MaskField$Value",
            "write MaskField$Value",
        )],
    ),
    (
        SOURCE,
        &[("transforms", "a"), ("transforms.a.class", "MaskField$Value")],
        &[("transforms.a.fields", None, "Request config key: transforms.a.fields", "set transforms.a.fields:")],
    ),
    (
        SOURCE,
        &[("transforms", "a"), ("transforms.a.class", "RegexRouter")],
        &[
            ("transforms.a.regex", None, "Request config key: transforms.a.regex", "set transforms.a.regex:"),
            (
                "transforms.a.replacement",
                None,
                "Request config key: transforms.a.replacement",
                "set transforms.a.replacement:",
            ),
        ],
    ),
    (
        SOURCE,
        &[
            ("transforms", "a"),
            ("transforms.a.class", "RegexRouter"),
            ("transforms.a.regex", "("),
            ("transforms.a.replacement", "x"),
        ],
        &[("transforms.a.regex", Some("("), "Config transforms.a.regex is \"(\"", "regular expression")],
    ),
    (
        SOURCE,
        &[("transforms", "a"), ("transforms.a.class", "Cast$Value"), ("transforms.a.spec", "a:int33")],
        &[("transforms.a.spec", Some("a:int33"), "transforms.a.spec", "give another value")],
    ),
    (
        SOURCE,
        &[
            ("transforms", "a"),
            ("transforms.a.class", "TimestampConverter$Value"),
            ("transforms.a.target.type", "Date"),
            ("transforms.a.unix.precision", "secs"),
        ],
        &[("transforms.a.unix.precision", Some("secs"), "one of seconds", "write one of seconds")],
    ),
    (
        SOURCE,
        &[("transforms", "a"), ("transforms.a.class", "TimestampConverter$Value"), ("transforms.a.target.type", "dat")],
        &[("transforms.a.target.type", Some("dat"), "one of string, unix", "did you mean Date?")],
    ),
    (
        SOURCE,
        &[
            ("transforms", "a"),
            ("transforms.a.class", "SetMaximumPrecision$Value"),
            ("transforms.a.precision.max", "0"),
        ],
        &[("transforms.a.precision.max", Some("0"), "from 1 to", "write 1 or more")],
    ),
    (
        SOURCE,
        &[
            ("transforms", "a"),
            ("transforms.a.class", "HeaderFrom$Value"),
            ("transforms.a.fields", "a,b"),
            ("transforms.a.headers", "h"),
            ("transforms.a.operation", "copy"),
        ],
        &[(
            "transforms.a.headers",
            Some("h"),
            "has 1 names, expected 2, as many as fields",
            "as many and in the same order",
        )],
    ),
    (
        SOURCE,
        &[("transforms", "a"), ("transforms.a.class", "InsertField$Value"), ("transforms.a.static.field", "f")],
        &[("transforms.a.static.value", None, "static.value", "transforms.a.static.value")],
    ),
    (
        SOURCE,
        &[
            ("transforms", "a"),
            ("transforms.a.class", "DropHeaders"),
            ("transforms.a.type", "Filter"),
            ("transforms.a.headers", "h"),
        ],
        &[(
            "transforms.a.class",
            Some("DropHeaders"),
            "but type, another spelling of it, is \"Filter\"",
            "leave out type",
        )],
    ),
    (
        SOURCE,
        &[
            ("transforms", "a"),
            ("transforms.a.class", "DropHeaders"),
            ("transforms.a.headers", "h"),
            ("transforms.a.predicate", "p"),
        ],
        &[("transforms.a.predicate", Some("p"), "expected one of those in `predicates`", "add p to `predicates`")],
    ),
    (
        SOURCE,
        &[
            ("transforms", "a"),
            ("transforms.a.class", "DropHeaders"),
            ("transforms.a.headers", "h"),
            ("transforms.a.negate", "true"),
        ],
        &[("transforms.a.predicate", None, "names no predicate", "leave transforms.a.negate out")],
    ),
    (
        SOURCE,
        &[("transforms", "a"), ("transforms.a.class", "DropHeaders"), ("transforms.a.negate", "no")],
        &[
            ("transforms.a.headers", None, "Request config key: transforms.a.headers", "set transforms.a.headers"),
            ("transforms.a.negate", Some("no"), "expected true or false", "write true or false"),
        ],
    ),
    (
        SOURCE,
        &[("predicates", "p")],
        &[("predicates.p.class", None, "=Request config key: predicates.p.class", "set predicates.p.class")],
    ),
    (
        SOURCE,
        &[("predicates", "p"), ("predicates.p.type", "TopicNameMatch")],
        &[(
            "predicates.p.class",
            Some("TopicNameMatch"),
            "no predicate called TopicNameMatch",
            "did you mean org.apache.kafka.connect.transforms.predicates.TopicNameMatches?",
        )],
    ),
    (
        SOURCE,
        &[("predicates", "p"), ("predicates.p.type", "TopicNameMatches")],
        &[("predicates.p.pattern", None, "=Request config key: predicates.p.pattern", "set predicates.p.pattern")],
    ),
    (
        SOURCE,
        &[("predicates", "p"), ("predicates.p.type", "TopicNameMatches"), ("predicates.p.pattern", "[")],
        &[("predicates.p.pattern", Some("["), "predicates.p.pattern", "regular expression")],
    ),
    (
        SOURCE,
        &[("predicates", "p"), ("predicates.p.type", "HasHeaderKey"), ("predicates.p.name", "")],
        &[("predicates.p.name", None, "expected the name of an extension", "Name of the extension")],
    ),
    (
        SOURCE,
        &[
            ("predicates", "p"),
            ("predicates.p.type", "RecordIsTombstone"),
            ("transforms", "a"),
            ("transforms.a.class", "Filter"),
            ("transforms.a.predicate", "q"),
        ],
        &[("transforms.a.predicate", Some("q"), "expected one of those", "did you mean p?")],
    ),
    (
        NONE,
        &[("connector.class", "file-source"), ("filename", "f"), ("connector.direct.enable", "true")],
        &[
            ("source.task.class", None, "=Request config key: source.task.class", "set source.task.class"),
            ("sink.task.class", None, "=Request config key: sink.task.class", "set sink.task.class"),
        ],
    ),
    (
        SOURCE,
        &[("connector.direct.enable", "ture")],
        &[("connector.direct.enable", Some("ture"), "expected true or false", "write true or false")],
    ),
    (
        DIRECT,
        &[("sink.task.class", "FileSnkTask")],
        &[(
            "sink.task.class",
            Some("FileSnkTask"),
            "implements SinkTask and which name matches FileSnkTask",
            "did you mean org.apache.rocketmq.connect.file.FileSinkTask?",
        )],
    ),
    (
        DIRECT,
        &[("source.task.class", "blackhole-sink")],
        &[(
            "source.task.class",
            Some("blackhole-sink"),
            "implements SourceTask",
            "write one of file-source, generator-source",
        )],
    ),
    (
        DIRECT,
        &[("put.delay.ms", "x"), ("batch.size", "0")],
        &[
            ("batch.size", Some("0"), "from 1 to", "write 1 or more"),
            ("put.delay.ms", Some("x"), "a whole number", "in digits"),
        ],
    ),
    (
        DIRECT,
        &[("connector.class", "generator-source"), ("source.task.class", "file-source"), ("max.tasks", "2")],
        &[("max.tasks", Some("2"), "several need a connector.class that is the source's own", "set max.tasks to 1")],
    ),
    (
        SOURCE,
        &[("filename", "${fil:/x:y}")],
        &[("filename", Some("${fil:/x:y}"), "there is no config provider called fil", "did you mean file?")],
    ),
    (
        SOURCE,
        &[("filename", "${vault:a:b}")],
        &[("filename", Some("${vault:a:b}"), "there is no config provider called vault", "there are dir, env, file")],
    ),
    (
        SOURCE,
        &[("filename", "${file:/etc/passwd:root}")],
        &[("filename", Some("${file:/etc/passwd:root}"), "is outside of what may be read", "configProviderRoots")],
    ),
    (
        SOURCE,
        &[("filename", "${dir:/etc:passwd}x${dir:ROOT:..}")],
        &[
            ("filename", Some("${dir:/etc:passwd}"), "is outside", "configProviderRoots"),
            ("filename", Some("${dir:ROOT:..}"), "is no name of a file", "write ${dir:PATH:NAME}"),
        ],
    ),
    (
        SOURCE,
        &[("filename", "${file:ROOT/missing:k}")],
        &[("filename", Some("${file:ROOT/missing:k}"), "cannot read", "see that the file is there")],
    ),
    (
        SOURCE,
        &[("filename", "${file:ROOT/p.properties:fliename}")],
        &[("filename", Some("${file:ROOT/p.properties:fliename}"), "has no key fliename", "did you mean filename?")],
    ),
    (
        SOURCE,
        &[("filename", "${env:HOME}")],
        &[("filename", Some("${env:HOME}"), "may not be read", "add it to configProviderEnv, which is PATH")],
    ),
    (
        SOURCE,
        &[("filename", "${env:")],
        &[("filename", Some("${env:…"), "without its closing brace", "close it with }")],
    ),
    (
        SOURCE,
        &[("batch.size", "${file:ROOT/p.properties:count}")],
        &[(
            "batch.size",
            Some("${file:ROOT/p.properties:count}"),
            "Config batch.size is \"${file:ROOT/p.properties:count}\", expected a whole number",
            "write a whole number",
        )],
    ),
    (
        SOURCE,
        &[("max.tasks", "${file:ROOT/p.properties:short}")],
        &[(
            "max.tasks",
            Some("${file:ROOT/p.properties:short}"),
            "=For input string: \"${file:ROOT/p.properties:short}\"",
            "write a whole number",
        )],
    ),
    (
        NONE,
        &[("connector.class", "${file:ROOT/p.properties:count}")],
        &[(
            "connector.class",
            Some("${file:ROOT/p.properties:count}"),
            "Failed to find any class that implements Connector and which name matches ${file:ROOT/p.properties:count}, ",
            "write one of",
        )],
    ),
    (
        SOURCE,
        &[("connector.class", "${env:HOME}"), ("batch.bytes", "1")],
        &[("connector.class", Some("${env:HOME}"), "may not be read", "configProviderEnv")],
    ),
    (
        SOURCE,
        &[("db.password", "******")],
        &[("db.password", None, "Config db.password is the mask of a secret", "give the secret itself")],
    ),
    (
        SOURCE,
        &[("url", "jdbc:x://u:******@h")],
        &[("url", Some("jdbc:x://u:******@h"), "is the mask of a secret", "give the secret itself")],
    ),
    (
        SOURCE,
        &[
            ("transforms", "a"),
            ("transforms.a.class", "nope"),
            ("max.tasks", "x"),
            ("value.converter", "nope"),
            ("batch.size", "-1"),
            ("predicates", "p"),
            ("filename", "${nope:a}"),
        ],
        &[
            ("filename", Some("${nope:a}"), "no config provider", "there are"),
            ("max.tasks", Some("x"), "For input string", "digits"),
            ("batch.size", Some("-1"), "from 1", "write 1"),
            ("value.converter", Some("nope"), "RecordConverter", "write one of"),
            ("predicates.p.class", None, "Request config key", "set predicates.p.class"),
            ("transforms.a.class", Some("nope"), "implements Transform", "write one of"),
        ],
    ),
];

fn matches(error: &ConfigError, fault: &Fault, root: &str) -> bool {
    let (key, value, message, remedy) = fault;
    let text = |part: &str| part.replace("ROOT", root);
    let said = match message.strip_prefix('=') {
        Some(whole) => error.message == text(whole),
        None => error.message.contains(&text(message)),
    };
    error.key == *key
        && error.value == value.map(text)
        && said
        && error.remedy.as_ref().is_some_and(|given| given.contains(&text(remedy)))
}

fn configuration(case: &Case, root: &str) -> Properties {
    let mut config = properties(case.0);
    config.extend(case.1.iter().map(|(key, value)| ((*key).to_owned(), value.replace("ROOT", root))));
    config
}

fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("p.properties"), "filename=f\ncount=confidential\nshort=abc\n").unwrap();
    root
}

#[test]
fn every_fault_is_named_with_value_reason_and_remedy() {
    assert!(CASES.len() >= 60, "{}", CASES.len());
    let root = root();
    let at = root.path().to_str().unwrap();
    let mut wrong = String::new();
    for case in CASES {
        let validation = validate(&configuration(case, at), &settings(root.path()));
        let errors = &validation.errors;
        let all = errors.len() == case.2.len()
            && case.2.iter().all(|fault| errors.iter().any(|error| matches(error, fault, at)));
        if !all {
            wrong.push_str(&format!("\n{:?}\n  expected {:#?}\n  got {errors:#?}", case.1, case.2));
        }
        assert!(!format!("{errors:?}").contains("confidential"), "{errors:?}");
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_right_configurations_under_the_table_have_no_fault() {
    let root = root();
    for base in [SOURCE, SINK, GENERATOR, BLACKHOLE, DIRECT] {
        let validation = validate(&properties(base), &settings(root.path()));
        assert!(validation.errors.is_empty() && validation.warnings.is_empty(), "{:?}", validation.errors);
    }
}

#[test]
fn nothing_of_a_refused_configuration_is_left_behind() {
    run(async {
        let (dir, root) = (tempfile::tempdir().unwrap(), root());
        let room = Room::start(dir.path(), root.path());
        room.controller.create("good", properties(SOURCE)).await.unwrap();
        // States are written now and then; connectors and positions only when they change.
        let config_files = || {
            let all = files_below(&dir.path().join("config"));
            all.split_once("connectorStatus").map_or(all.clone(), |(before, _)| before.to_owned())
        };
        let before = std::fs::read(dir.path().join("config/connectorConfig.json")).unwrap();
        assert!(!config_files().is_empty());
        for case in CASES {
            let config = configuration(case, root.path().to_str().unwrap());
            for name in ["good", "new"] {
                let error = room.controller.create(name, config.clone()).await.unwrap_err().to_string();
                assert!(!error.contains("confidential"), "{error}");
            }
            let checked = room.controller.validate(config).await.unwrap();
            assert_eq!(checked.errors.len(), case.2.len());
            let snapshot = room.controller.look().await.unwrap();
            let names: Vec<_> = snapshot.connectors.iter().map(|one| one.name.as_str()).collect();
            assert_eq!(names, ["good"]);
            assert_eq!(*snapshot.connectors[0].properties, properties(SOURCE));
        }
        assert_eq!(std::fs::read(dir.path().join("config/connectorConfig.json")).unwrap(), before);
        assert_eq!(room.port.started.lock().unwrap().len(), 1, "only the good one was started");
        room.controller.shutdown(crate::port::DEADLINE).await.unwrap();
    });
}

/// What is accepted but told: the key, and the one that was likely meant.
#[test]
fn misspelt_and_foreign_keys_are_warned_of() {
    let cases: &[(Pairs, Pairs, &str, Option<&str>)] = &[
        (SOURCE, &[("batch.sise", "5")], "batch.sise", Some("batch.size")),
        (SOURCE, &[("maxTasks", "5")], "maxTasks", Some("max.tasks")),
        (SINK, &[("error.tolerance", "all")], "error.tolerance", Some("errors.tolerance")),
        (SINK, &[("batch.bytes", "2048")], "batch.bytes", None),
        (SOURCE, &[("offset.flush.interval.ms", "1")], "offset.flush.interval.ms", Some("commit.interval.ms")),
        (SOURCE, &[("producer.override.acks", "all")], "producer.override.acks", None),
        (
            SOURCE,
            &[("value.converter.serialiser.encoding", "x")],
            "value.converter.serialiser.encoding",
            Some("value.converter.serializer.encoding"),
        ),
        (SOURCE, &[("transforms.x.class", "Filter")], "transforms.x.class", None),
        (
            SOURCE,
            &[
                ("transforms", "a"),
                ("transforms.a.type", "DropHeaders"),
                ("transforms.a.headers", "h"),
                ("transforms.a.header", "i"),
            ],
            "transforms.a.header",
            Some("transforms.a.headers"),
        ),
        (
            SOURCE,
            &[("transforms", "a,a"), ("transforms.a.type", "DropHeaders"), ("transforms.a.headers", "h")],
            "transforms",
            None,
        ),
    ];
    let root = root();
    for (base, more, key, likely) in cases {
        let mut config = properties(base);
        config.extend(properties(more));
        let validation = validate(&config, &settings(root.path()));
        assert!(validation.errors.is_empty(), "{:?}", validation.errors);
        let told: Vec<_> = validation.warnings.iter().map(|one| (one.key.as_str(), one.likely.as_deref())).collect();
        assert_eq!(told, [(*key, *likely)], "{:?}", validation.warnings);
    }
    // Names of Kafka Connect that mean the same are no misspellings; nor is what only a connector could know.
    let kafka = properties(&[
        ("connector.class", "blackhole-sink"),
        ("topics", "t,u"),
        ("tasks.max", "2"),
        ("name", "n"),
        ("my.own.key", "x"),
    ]);
    let validation = validate(&kafka, &settings(root.path()));
    assert!(validation.errors.is_empty() && validation.warnings.is_empty(), "{:?}", validation.warnings);
}

#[test]
fn a_topic_is_the_connectors_own_key_where_it_has_one_and_else_the_common_one() {
    let root = root();
    let topic = |pairs: &[(&str, &str)]| {
        let definition = define(&properties(pairs), &settings(root.path())).unwrap();
        TOPIC_NAME.text(&definition.tasks[0]).unwrap().to_owned()
    };
    assert_eq!(topic(&[("connector.class", "generator-source"), ("topic", "t")]), "t");
    let file = [("connector.class", "file-source"), ("filename", "f"), ("topic", "own")];
    assert_eq!(topic(&file), "", "every record carries it, whatever the common key says");
    assert_eq!(topic(&[file[0], file[1], file[2], ("connect.topicname", "common")]), "common");
}
