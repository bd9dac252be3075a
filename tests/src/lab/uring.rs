//! A client that sends by io_uring: the kernel may do that in the caller's thread, in a worker's, or in
//! the thread that polls the queue.

use std::io;
use std::net::{SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;

use anyhow::{Context, Result, ensure};
use io_uring::{IoUring, opcode, squeue, types};

use super::net::SERVER;
use super::share::{answered, query};

/// Who in the kernel calls the socket's send function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Submitter {
    /// The thread that enters the kernel.
    Caller,
    /// A worker (`IOSQE_ASYNC`), which is a thread of the process since Linux 5.12.
    Worker,
    /// The thread that polls the queue (`IORING_SETUP_SQPOLL`), likewise.
    Poller,
}

/// Milliseconds without a request after which the poller sleeps.
const POLLER_IDLE: u32 = 100;

/// Asks for names one after the other, by turns on a connected socket and on one that is not.
pub(super) fn ask(submitter: Submitter, names: &[&str]) -> Result<()> {
    let mut builder = IoUring::builder();
    if submitter == Submitter::Poller {
        builder.setup_sqpoll(POLLER_IDLE);
    }
    let mut ring: IoUring = builder.build(8).context("cannot make a ring")?;
    let connected = UdpSocket::bind("0.0.0.0:0")?;
    connected.connect((SERVER.0, 53))?;
    let unconnected = UdpSocket::bind("0.0.0.0:0")?;
    for (turn, name) in names.iter().enumerate() {
        let (socket, to) = if turn % 2 == 0 {
            (&connected, None)
        } else {
            (&unconnected, Some(SocketAddrV4::new(SERVER.0.parse()?, 53)))
        };
        let mut message = query(name);
        send(&mut ring, submitter, socket, to, &mut message)
            .with_context(|| format!("cannot send {name}"))?;
        answered(socket, name)?;
    }
    Ok(())
}

fn send(
    ring: &mut IoUring,
    submitter: Submitter,
    socket: &UdpSocket,
    to: Option<SocketAddrV4>,
    message: &mut [u8],
) -> Result<()> {
    let mut address = to.map(|to| libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: to.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(*to.ip()).to_be(),
        },
        sin_zero: [0; 8],
    });
    let mut part = libc::iovec {
        iov_base: message.as_mut_ptr().cast(),
        iov_len: message.len(),
    };
    // SAFETY: plain numbers and pointers, of which all zeroes is a value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    if let Some(address) = &mut address {
        header.msg_name = std::ptr::from_mut(address).cast();
        header.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
    }
    let mut entry = opcode::SendMsg::new(types::Fd(socket.as_raw_fd()), &raw const header).build();
    if submitter == Submitter::Worker {
        entry = entry.flags(squeue::Flags::ASYNC);
    }
    // SAFETY: all that the entry points to lives until its completion has been taken, below.
    unsafe { ring.submission().push(&entry) }.context("the queue is full")?;
    ring.submit_and_wait(1)?;
    let done = ring.completion().next().context("no completion")?;
    let sent =
        usize::try_from(done.result()).map_err(|_| io::Error::from_raw_os_error(-done.result()))?;
    ensure!(sent == message.len(), "{sent} bytes were sent");
    Ok(())
}
