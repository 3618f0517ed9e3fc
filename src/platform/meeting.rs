//! A place where other machines try whether they can reach this one.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, ToSocketAddrs},
    time::Duration,
};

/// Listens until it is dropped. Who connects has reached us; nothing is said.
#[derive(Debug)]
pub struct Meeting(TcpListener);

impl Meeting {
    /// At the address that `host` stands for. It must be one of this machine's.
    pub fn at(host: &str) -> io::Result<Self> {
        TcpListener::bind((host, 0)).map(Self)
    }

    /// At all addresses of this machine.
    pub fn anywhere() -> io::Result<Self> {
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).map(Self)
    }

    pub fn port(&self) -> io::Result<u16> {
        Ok(self.0.local_addr()?.port())
    }

    pub fn is_loopback(&self) -> bool {
        self.0.local_addr().is_ok_and(|it| it.ip().is_loopback())
    }
}

/// Whether `host` stands for an address that every machine takes for itself.
pub fn is_loopback(host: &str) -> bool {
    let addresses = (host, 0).to_socket_addrs();
    addresses.is_ok_and(|mut all| all.all(|it| it.ip().is_loopback()))
}

/// Connects, and hangs up.
pub fn reach(host: &str, port: u16, limit: Duration) -> io::Result<()> {
    let mut last = io::Error::other("its name stands for no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, limit) {
            Ok(_) => return Ok(()),
            Err(cause) => last = cause,
        }
    }
    Err(last)
}

/// By the address that ssh came to this machine at: `SSH_CONNECTION`, see `ssh(1)`.
pub fn own_address(ssh_connection: &str) -> Option<IpAddr> {
    ssh_connection.split(' ').nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn who_connects_has_reached_us_and_nobody_does_where_nobody_listens() {
        let meeting = Meeting::at("127.0.0.1").expect("bound");
        let port = meeting.port().expect("a port");
        assert!(meeting.is_loopback() && is_loopback("127.0.0.2") && !is_loopback("192.0.2.1"));
        reach("127.0.0.1", port, LIMIT).expect("reached");
        drop(meeting);
        reach("127.0.0.1", port, LIMIT).expect_err("nobody listens");
        // An address of the documentation's network, RFC 5737, is nobody's.
        Meeting::at("192.0.2.1").expect_err("not ours");
        assert_eq!(own_address("10.0.0.1 39380 10.0.0.2 22"), Some([10, 0, 0, 2].into()));
    }
}
