//! TCP ports of this machine: whether one is free, and who has it.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, TcpListener},
    path::Path,
};

/// What trying to listen on a port showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    Free,
    /// With the process, as far as this user may know it.
    Taken(Option<Holder>),
    /// Not allowed, or there is no loopback interface.
    Unusable(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub pid: i32,
    /// Its program, as `ps` shows it.
    pub name: String,
}

/// The addresses that others may reach this machine at: no loopback, and none that holds on one cable alone.
pub fn own_addresses() -> Vec<IpAddr> {
    let all = nix::ifaddrs::getifaddrs().into_iter().flatten().filter_map(|it| it.address);
    let addresses = all.filter_map(|it| {
        let four = it.as_sockaddr_in().map(|it| IpAddr::V4(it.ip()));
        four.or_else(|| it.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip())))
    });
    let is_near = |it: &IpAddr| match it {
        IpAddr::V4(it) => it.is_link_local(),
        IpAddr::V6(it) => it.is_unicast_link_local(),
    };
    addresses.filter(|it| !it.is_loopback() && !is_near(it)).collect()
}

/// Listens on the port for a moment, on the loopback interface.
pub fn look(port: u16) -> Port {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Port::Free,
        Err(cause) if cause.kind() == io::ErrorKind::AddrInUse => Port::Taken(holder(port)),
        Err(cause) => Port::Unusable(cause.to_string()),
    }
}

fn holder(port: u16) -> Option<Holder> {
    let table = |name| fs::read_to_string(Path::new("/proc/self/net").join(name)).unwrap_or_default();
    let sockets: Vec<String> =
        ["tcp", "tcp6"].into_iter().flat_map(|name| listening(&table(name), port)).collect();
    let pids = fs::read_dir("/proc").ok()?.flatten();
    let pids = pids.filter_map(|it| it.file_name().to_str()?.parse::<i32>().ok());
    let pid = pids.into_iter().find(|pid| has_one_of(*pid, &sockets))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned();
    Some(Holder { pid, name })
}

fn has_one_of(pid: i32, sockets: &[String]) -> bool {
    let Ok(handles) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let targets = handles.flatten().filter_map(|it| fs::read_link(it.path()).ok());
    targets.into_iter().any(|target| sockets.iter().any(|socket| target.to_str() == Some(socket)))
}

/// The sockets that listen on `port`, named as in `/proc/PID/fd`. Columns: `proc_pid_net(5)`.
fn listening(table: &str, port: u16) -> Vec<String> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        // 0A is TCP_LISTEN; the tenth column is the socket's inode.
        let ([_, local, _, "0A", ..], Some(inode)) = (&fields[..], fields.get(9)) else { return None };
        let found = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
        (found == port).then(|| format!("socket:[{inode}]"))
    };
    table.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_listened_on_is_taken_by_whoever_listens() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let Port::Taken(Some(holder)) = look(port) else { panic!("it is taken, by us") };
        assert_eq!(holder.pid.cast_unsigned(), std::process::id());
        drop(listener);
        assert_eq!(look(port), Port::Free);
    }

    #[test]
    fn a_connection_from_the_port_does_not_listen_on_it() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1435 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000 100 0 0 10 0
   1: 0100007F:1435 0100007F:A0B1 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0000 20 4 30 10 -1
   2: 0100007F:1436 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4713 1 0000 100 0 0 10 0
";
        assert_eq!(listening(table, 5173), ["socket:[4711]"]);
    }
}
