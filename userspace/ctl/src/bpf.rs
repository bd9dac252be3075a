//! bpf(2) for what aya does not tell of programs and links.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// What a kernel id is of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Program,
    Link,
}

/// Commands of `enum bpf_cmd` in `linux/bpf.h`.
const GET_INFO_BY_FD: libc::c_int = 15;
const LINK_GET_NEXT_ID: libc::c_int = 31;

impl Kind {
    const fn get_fd_by_id(self) -> libc::c_int {
        match self {
            Self::Program => 13,
            Self::Link => 30,
        }
    }
}

/// Attributes of `BPF_LINK_GET_NEXT_ID` and `BPF_*_GET_FD_BY_ID`.
#[repr(C)]
struct Id {
    start: u32,
    next: u32,
    flags: u32,
}

/// Attributes of `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct Info {
    fd: u32,
    len: u32,
    info: u64,
}

/// The next link's kernel id after one, which need not be there; `None` after the last.
pub(crate) fn next_link(start: u32) -> io::Result<Option<u32>> {
    let mut attributes = Id {
        start,
        next: 0,
        flags: 0,
    };
    match bpf(LINK_GET_NEXT_ID, &mut attributes) {
        Ok(_) => Ok(Some(attributes.next)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The first 32-bit words of `struct bpf_prog_info` or `bpf_link_info`; 0 is what the kernel does not have.
pub(crate) fn info<const WORDS: usize>(kind: Kind, id: u32) -> io::Result<[u32; WORDS]> {
    let fd = fd_of(kind, id)?;
    let mut info = [0u32; WORDS];
    let mut attributes = Info {
        fd: u32::try_from(fd.as_raw_fd()).unwrap_or(u32::MAX),
        len: size_of_val(&info) as u32,
        info: info.as_mut_ptr().addr() as u64,
    };
    bpf(GET_INFO_BY_FD, &mut attributes)?;
    Ok(info)
}

/// How often the kernel did not run a program of that id, since it, or with tracepoints any other, was in the
/// midst of a run on the same processor: `recursion_misses`, which later kernels count for tracepoints, too. 0
/// where it cannot be told.
pub(crate) fn skipped(program: u32) -> u64 {
    /// Where it stands in `struct bpf_prog_info`, in words: behind `run_time_ns` and `run_cnt`.
    const AT: usize = 52;
    let Ok(info) = info::<{ AT + 2 }>(Kind::Program, program) else {
        return 0;
    };
    let [.., first, second] = info.map(u32::to_ne_bytes);
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&first);
    bytes[4..].copy_from_slice(&second);
    u64::from_ne_bytes(bytes)
}

fn fd_of(kind: Kind, id: u32) -> io::Result<OwnedFd> {
    let mut attributes = Id {
        start: id,
        next: 0,
        flags: 0,
    };
    let fd = bpf(kind.get_fd_by_id(), &mut attributes)?;
    // SAFETY: the call made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<libc::c_int> {
    let size = size_of::<T>();
    // SAFETY: the attributes live through the call, the kernel reads and writes `size` bytes of them,
    // and the one pointer among them is to a buffer of the length that stands beside it.
    let done =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    libc::c_int::try_from(done).map_err(|_| io::ErrorKind::InvalidData.into())
}
