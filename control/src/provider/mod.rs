//! The providers that come with the worker: values of a properties file, whole files, environment variables. They block
//! for as long as the disk does, and are called where that is allowed.

mod dir;
mod env;
mod fence;
mod file;

#[cfg(test)]
mod tests;
