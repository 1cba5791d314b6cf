//! The sockets of a sandbox, on this machine's loopback.

use std::net::IpAddr;

use sandbox_runner::sandbox::Ports;
use tokio::net::{TcpListener, UdpSocket};

/// Those for hosts listen on `address`.
pub(crate) async fn ports(address: IpAddr) -> Ports {
    Ports {
        gateway: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        names: UdpSocket::bind("127.0.0.1:0").await.unwrap(),
        http: TcpListener::bind((address, 0)).await.unwrap(),
        https: TcpListener::bind((address, 0)).await.unwrap(),
    }
}
