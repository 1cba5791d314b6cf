//! Where an address leads: to the internet, into a network around this machine, or somewhere that
//! no sandbox may ever reach.
//!
//! After the special-purpose registries of IANA. An address that carries another one is as good as
//! that one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    Public,
    /// Not on the internet, but an address of somebody: private, shared, for documentation.
    Internal,
    /// This machine, its link, its cloud's metadata, or nobody.
    Forbidden,
}

/// As [`reach`], with this machine's own addresses forbidden, whatever they are.
pub(super) fn survey(address: IpAddr) -> Reach {
    match reach(address) {
        Reach::Forbidden => Reach::Forbidden,
        _ if is_own(address) => Reach::Forbidden,
        reach => reach,
    }
}

/// Only an address of this machine can be bound to. Asked each time, since addresses come and go.
fn is_own(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

pub fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        // Metadata of Alibaba, Oracle and Azure; that of the others is link-local.
        [100, 100, 100, 200] | [192, 0, 0, 192] | [168, 63, 129, 16] => Reach::Forbidden,
        [0 | 127, ..] | [169, 254, ..] | [192, 0, 0, _] => Reach::Forbidden,
        // The way to 6to4, multicast, reserved, broadcast.
        [192, 88, 99, _] | [224..=255, ..] => Reach::Forbidden,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Reach::Internal,
        [100, 64..=127, ..] => Reach::Internal,
        [192, 0, 2, _] | [198, 18..=19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => {
            Reach::Internal
        }
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    if let Some(inner) = address.to_ipv4_mapped() {
        return reach_v4(inner);
    }
    let low = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        // The well-known prefix of NAT64 leads to the address that it ends with.
        [0x64, 0xff9b, 0, 0, 0, 0, high, last] => reach_v4(low(high, last)),
        // Metadata of AWS.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => Reach::Forbidden,
        [0xfc00..=0xfdff, ..] => Reach::Internal,
        // For documentation.
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Reach::Internal,
        // Protocol assignments, Teredo among them, and 6to4: tunnels to addresses in disguise.
        [0x2001, 0..=0x1ff, ..] | [0x2002, ..] => Reach::Forbidden,
        // Only this part is on the internet.
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Forbidden,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn at(text: &str) -> Reach {
        reach(text.parse().unwrap())
    }

    #[test]
    fn what_is_on_the_internet_is_public() {
        for address in [
            "1.1.1.1",
            "140.82.121.4",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "2606:4700:4700::1111",
            "2a00:1450:4001:80e::200e",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
        ] {
            assert_eq!(at(address), Reach::Public, "{address}");
        }
    }

    #[test]
    fn networks_of_somebody_are_internal() {
        for address in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "198.18.0.1",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "fc00::1",
            "fdaa:0:1::3",
            "2001:db8::1",
            "::ffff:10.0.0.1",
            "64:ff9b::192.168.0.1",
        ] {
            assert_eq!(at(address), Reach::Internal, "{address}");
        }
    }

    #[test]
    fn this_machine_its_link_metadata_and_disguises_are_forbidden() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.0.1",
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "192.88.99.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::127.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "2001::1",
            "2001:10::1",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::1",
            "5f00::1",
        ] {
            assert_eq!(at(address), Reach::Forbidden, "{address}");
        }
    }

    #[test]
    fn an_address_of_this_machine_is_forbidden_whatever_it_is() {
        assert!(is_own("127.0.0.1".parse().unwrap()));
        assert!(!is_own("1.1.1.1".parse().unwrap()));
        // The address that packets would leave from, where there is one.
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        if socket.connect("1.1.1.1:9").is_ok() {
            let own = socket.local_addr().unwrap().ip();
            assert_eq!(survey(own), Reach::Forbidden, "{own}");
        }
    }
}
