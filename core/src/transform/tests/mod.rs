//! What each transform makes of each kind of value, and of JSON text as of what the text says.

mod chains;
mod lazy;
mod records;
mod values;
