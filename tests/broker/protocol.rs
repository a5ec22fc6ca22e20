//! The suite that the embedded broker passes, against the one that it stands in for: an expectation that is wrong about
//! Apache's broker would make the embedded one wrong with it.

use super::client_suite::{Server, run};
use super::support::broker::RealBroker;

#[test]
fn an_apache_broker_passes_the_suite_of_the_embedded_one() {
    run(RealBroker::shared().namesrv().parse().unwrap(), Server::Apache);
}
