//! The runtime alone on io_uring and on epoll, in turn.

use super::alone::run_with;
use crate::tool::options::Options;
use crate::tool::workers::Build;

/// The cases of `alone`, without the floor.
pub fn run(options: &Options) {
    run_with(options, "drivers", &Build::drivers(), false);
}
