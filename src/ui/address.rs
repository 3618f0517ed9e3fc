//! What the server is called: by browsers of this machine, and by those of others where it listens for them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::platform::ports;

/// As a browser of this machine calls it.
pub fn authority(address: IpAddr, port: u16) -> String {
    if is_localhost(address) || address.is_unspecified() {
        format!("localhost:{port}")
    } else {
        format!("{}:{port}", literal(address))
    }
}

/// As a browser of another machine calls it, where it listens on all addresses and there is another machine.
pub fn from_elsewhere(address: IpAddr, port: u16) -> Option<String> {
    let all = if address.is_unspecified() { of_this_machine(address) } else { vec![] };
    all.first().map(|it| format!("{}:{port}", literal(*it)))
}

/// An address that is listened on is a name too, for whoever comes from elsewhere. No site can be rebound to it: such a
/// site comes with a name of its own.
pub fn names(address: IpAddr, more: &[String]) -> Vec<String> {
    let own = match address {
        it if is_localhost(it) => vec![],
        it if it.is_unspecified() => of_this_machine(it),
        it => vec![it],
    };
    more.iter().cloned().chain(own.into_iter().map(literal)).collect()
}

/// Its usual address, which every server here goes by. Loopback has others.
fn is_localhost(address: IpAddr) -> bool {
    [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].contains(&address)
}

/// Who listens on `::` is reached by both kinds.
fn of_this_machine(any: IpAddr) -> Vec<IpAddr> {
    let mut all = ports::own_addresses();
    all.retain(|it| it.is_ipv4() || any.is_ipv6());
    all.sort_unstable();
    all
}

fn literal(address: IpAddr) -> String {
    match address {
        IpAddr::V4(it) => it.to_string(),
        IpAddr::V6(it) => format!("[{it}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_a_name_that_is_answered_to() {
        let check = |address: &str, printed: &str, more: &[&str]| {
            let address: IpAddr = address.parse().expect("an address");
            assert_eq!(authority(address, 80), printed);
            assert_eq!(names(address, &["box".to_owned()]), [&["box"], more].concat());
        };
        check("127.0.0.1", "localhost:80", &[]);
        check("::1", "localhost:80", &[]);
        check("127.0.0.2", "127.0.0.2:80", &["127.0.0.2"]);
        check("192.0.2.7", "192.0.2.7:80", &["192.0.2.7"]);
        check("2001:db8::1", "[2001:db8::1]:80", &["[2001:db8::1]"]);
    }
}
