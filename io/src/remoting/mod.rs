//! RocketMQ's wire protocol: frames, headers, messages, one connection, routes, and a client over several brokers.

pub mod admin;
pub mod client;
pub mod code;
pub mod connection;
pub mod frame;
pub mod header;
pub mod inquiry;
pub mod java_hash;
pub mod message;
pub mod outgoing;
pub mod properties;
pub mod pull;
pub mod pulled;
pub mod route;
pub mod sign;
pub mod unique_id;
