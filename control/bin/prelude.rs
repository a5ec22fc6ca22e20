//! Everything that connectors, converters, transforms, predicates and config providers of one's own are written with:
//! `use rmqc_fast::prelude::*;`.
//!
//! | To write | implement | and register |
//! |---|---|---|
//! | a source | [`SourceTask`] | [`ConnectorFactory`] with [`TaskBuilder::Source`] |
//! | a sink | [`SinkTask`] | [`ConnectorFactory`] with [`TaskBuilder::Sink`] |
//! | a converter | [`Converter`] | [`ConverterFactory`] |
//! | a transform | [`Transform`] | [`TransformFactory`] |
//! | a predicate | [`Predicate`] | [`PredicateFactory`] |
//! | a config provider | [`ConfigProvider`] | [`ProviderFactory`] |

pub use crate::register;
pub use rmqc_core::clock::{Clock, MonotonicTime};
pub use rmqc_core::config::Properties;
pub use rmqc_core::config::key::{ConfigError, ConfigErrors, ConfigKey, KeyKind, check_all};
pub use rmqc_core::config::provider::{ConfigProvider, ProviderError, ProviderFactory, ProviderSettings};
pub use rmqc_core::connector::{DynSinkTask, DynSourceTask, SinkTask, SourceTask};
pub use rmqc_core::context::{Backlog, ErrantRecords, TaskContext, Waiting};
pub use rmqc_core::converter::{Converter, SchemaAndValue};
pub use rmqc_core::error::{ConnectError, Result, Retry, Stage};
pub use rmqc_core::host::{FileStatus, Host, HostFile, HostWatch, LocalFuture};
pub use rmqc_core::id::TaskId;
pub use rmqc_core::json::Json;
pub use rmqc_core::position::{Position, RecordOffset, RecordPartition, Scalar, StoredPosition};
pub use rmqc_core::predicate::Predicate;
pub use rmqc_core::record::{ConnectRecord, Extensions, RecordBatch};
pub use rmqc_core::registry::{
    ConnectorFactory, ConnectorKind, ConverterFactory, PredicateFactory, TaskBuilder, TransformFactory,
};
pub use rmqc_core::schema::{Field, FieldType, Logical, Schema};
pub use rmqc_core::transform::{Outcome, Target, Transform, TransformConfig};
pub use rmqc_core::value::{Map, Struct, Text, Value};
