//! What the server is called: by browsers of this machine, and by those of others where it listens for them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::platform::ports;

/// As a browser of this machine calls it.
pub fn authority(address: IpAddr, port: u16) -> String {
    match address {
        IpAddr::V4(Ipv4Addr::LOCALHOST) | IpAddr::V6(Ipv6Addr::LOCALHOST) => format!("localhost:{port}"),
        it if it.is_unspecified() => format!("localhost:{port}"),
        it => format!("{}:{port}", literal(it)),
    }
}

/// As a browser of another machine calls it, where it listens on all addresses and there is another machine.
pub fn from_elsewhere(address: IpAddr, port: u16) -> Option<String> {
    own(address).first().map(|it| format!("{}:{port}", literal(*it)))
}

/// An address that is listened on is a name too, for whoever comes from elsewhere. No site can be rebound to it: such a
/// site comes with a name of its own.
pub fn names(address: IpAddr, more: &[String]) -> Vec<String> {
    let own = if address.is_loopback() || address.is_unspecified() { own(address) } else { vec![address] };
    more.iter().cloned().chain(own.into_iter().map(literal)).collect()
}

fn own(address: IpAddr) -> Vec<IpAddr> {
    if !address.is_unspecified() {
        return vec![];
    }
    // Who listens on `::` is reached by both kinds.
    let mut all = ports::own_addresses();
    all.retain(|it| it.is_ipv4() || address.is_ipv6());
    all.sort_unstable();
    all
}

fn literal(address: IpAddr) -> String {
    match address {
        IpAddr::V4(it) => it.to_string(),
        IpAddr::V6(it) => format!("[{it}]"),
    }
}
