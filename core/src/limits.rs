//! Every bound of the worker that is not a configuration key, in one place, with the relations between them.

/// Largest remoting frame that is read or written, in bytes: the broker's own default limit.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest message body, in bytes: the broker's default `maxMessageSize`.
pub const MESSAGE_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest properties block of one message, in bytes, less the room that the broker needs for its own.
pub const MESSAGE_PROPERTIES_BYTES_MAX: usize = 32_767 - 256;
/// Commands that wait in one shard's mailbox; a sender beyond that waits.
pub const SHARD_COMMANDS_MAX: usize = 1024;
/// Events that wait for the control plane; a shard beyond that waits.
pub const SHARD_EVENTS_MAX: usize = 1024;
/// Tasks on one shard.
pub const SHARD_TASKS_MAX: usize = 4096;
/// Records that a source may hand over in one batch, whatever `batch.size` says.
pub const BATCH_RECORDS_MAX: usize = 65_536;
/// Bytes of one block that a file source reads at once.
pub const FILE_BLOCK_BYTES: usize = 256 * 1024;
/// Objects and arrays inside each other that JSON text may have.
pub const JSON_DEPTH_MAX: usize = 128;
/// Members of a JSON object whose places are remembered; those of a larger one are looked for each time.
pub const JSON_INDEXED_MEMBERS_MAX: usize = 64;
/// Values that one body may become when it is read by a schema.
pub const CONVERTED_VALUES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of JSON that one value may become; defaults make a value longer than it is.
pub const ENCODED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Largest schema inside a JSON body, in bytes.
pub const JSON_SCHEMA_BYTES_MAX: usize = 1024 * 1024;
/// Texts of schemas that one JSON converter keeps, in bytes, besides the bound on their number.
pub const JSON_SCHEMA_CACHE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Steps back that one look at a text with a regular expression may take: about a millisecond or two.
pub const REGEX_BACKTRACK_STEPS_MAX: usize = 100_000;
/// Bytes that one part of a compiled regular expression may take.
pub const REGEX_SIZE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Instructions of a regular expression that backtracks.
pub const REGEX_PROGRAM_MAX: usize = 65_536;
/// Groups and classes inside each other that a regular expression may have.
pub const REGEX_DEPTH_MAX: usize = 32;
/// Names of fields whose new names one transform remembers.
pub const RENAMED_NAMES_MAX: usize = 512;
/// Changed schemas that one transform remembers.
pub const SCHEMAS_REMEMBERED_MAX: usize = 16;
/// Characters of a record's text that an error shows.
pub const SHOWN_CHARACTERS_MAX: usize = 100;
/// Buffers in one gathered write.
pub const WRITE_VECTORS_MAX: usize = 1024;
/// Bodies from this size on are sent by gathered write, smaller ones are copied into the frame.
pub const GATHER_BODY_BYTES_MIN: usize = 8 * 1024;

const _: () = assert!(JSON_DEPTH_MAX <= 128, "open levels are kept in 128 bits");
const _: () = assert!(MESSAGE_BODY_BYTES_MAX <= ENCODED_BYTES_MAX);
const _: () = assert!(MESSAGE_BODY_BYTES_MAX <= CONVERTED_VALUES_MAX);
const _: () = assert!(JSON_SCHEMA_BYTES_MAX <= JSON_SCHEMA_CACHE_BYTES_MAX);
const _: () = assert!(SCHEMAS_REMEMBERED_MAX > 0);
const _: () = assert!(MESSAGE_BODY_BYTES_MAX < FRAME_BYTES_MAX);
const _: () = assert!(GATHER_BODY_BYTES_MIN < MESSAGE_BODY_BYTES_MAX);
const _: () = assert!(FILE_BLOCK_BYTES < MESSAGE_BODY_BYTES_MAX);
