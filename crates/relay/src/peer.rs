//! Where a client is, as far as limits go: the unit of which one party has many costs as much as the unit of which it has
//! one.

use std::net::{IpAddr, Ipv6Addr};

/// An IPv4 address, or the 64 bits of an IPv6 address that one party gets at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Peer(Ipv6Addr);

impl Peer {
    /// On this machine: the operator's own programs, or a proxy with all of its clients.
    pub(crate) fn is_local(self) -> bool {
        self.0.to_canonical().is_loopback()
    }

    /// A peer for tests in which it does not matter.
    #[cfg(test)]
    pub(crate) fn nearby() -> Self {
        Self::from(IpAddr::from([192, 0, 2, 1]))
    }
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.to_ipv6_mapped()),
            IpAddr::V6(address) if address.is_loopback() => Self(address),
            IpAddr::V6(address) => Self(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::from(address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn whoever_has_a_network_of_version_6_is_one_peer() {
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff:1"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
        assert_eq!(peer("192.0.2.1"), peer("::ffff:192.0.2.1"));
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
        for local in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(peer(local).is_local(), "{local}");
        }
        assert!(!peer("::2").is_local() && !peer("192.0.2.1").is_local());
    }
}
