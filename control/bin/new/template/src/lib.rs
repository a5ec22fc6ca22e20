//! A connector for `rmqc-fast`, in a library of its own so that tests can name it.

pub mod my_thing;
