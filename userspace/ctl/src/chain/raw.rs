//! Links in the kernel, by bpf(2): aya lists them, but does not tell what an extension replaces.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use anyhow::{Context, Result};

/// Commands of `enum bpf_cmd` in `linux/bpf.h`.
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_LINK_GET_FD_BY_ID: libc::c_int = 30;
const BPF_LINK_GET_NEXT_ID: libc::c_int = 31;

/// `enum bpf_link_type`: what fentry programs and extensions have.
const LINK_TRACING: u32 = 2;
/// `enum bpf_link_type`: XDP.
const LINK_XDP: u32 = 6;

/// A link, as far as chains are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// Kernel id of its program.
    pub(super) program: u32,
    /// Where it leads.
    pub(super) target: Target,
}

/// Where a link leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A function of another program, by that program's kernel id and the function's id in its BTF.
    Program {
        /// Kernel id.
        id: u32,
        /// Type id of the function; 0 of a kernel function too.
        function: u32,
    },
    /// An interface's XDP hook.
    Xdp,
    /// Elsewhere.
    Other,
}

/// Every link in the kernel. One that goes away meanwhile is left out.
pub(super) fn links() -> Result<Vec<Link>> {
    let mut links = Vec::new();
    let mut id = 0;
    while let Some(next) = next_id(id).context("cannot list the links of BPF programs")? {
        id = next;
        if let Ok(info) = fd_of(id).and_then(|fd| info(&fd)) {
            links.push(parse(&info));
        }
    }
    Ok(links)
}

/// `struct bpf_link_info`, as 32-bit words. The union that follows `prog_id` is aligned to 8 bytes; for
/// tracing (Linux 5.13) it is attach type, id of the target, type id in the target.
fn parse(info: &[u32; INFO_WORDS]) -> Link {
    let [kind, _, program, _, _, object, function, ..] = *info;
    let target = match kind {
        LINK_TRACING => Target::Program {
            id: object,
            function,
        },
        LINK_XDP => Target::Xdp,
        _ => Target::Other,
    };
    Link { program, target }
}

/// Words that are asked for; the kernel fills as many as it has.
const INFO_WORDS: usize = 16;

/// Attributes of `BPF_*_GET_NEXT_ID` and `BPF_*_GET_FD_BY_ID`.
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

fn next_id(start: u32) -> io::Result<Option<u32>> {
    let mut attributes = Id {
        start,
        next: 0,
        flags: 0,
    };
    match bpf(BPF_LINK_GET_NEXT_ID, &mut attributes) {
        Ok(_) => Ok(Some(attributes.next)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn fd_of(id: u32) -> io::Result<OwnedFd> {
    let mut attributes = Id {
        start: id,
        next: 0,
        flags: 0,
    };
    let fd = bpf(BPF_LINK_GET_FD_BY_ID, &mut attributes)?;
    // SAFETY: the call made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn info(fd: &OwnedFd) -> io::Result<[u32; INFO_WORDS]> {
    let mut info = [0u32; INFO_WORDS];
    let mut attributes = Info {
        fd: u32::try_from(fd.as_raw_fd()).unwrap_or(u32::MAX),
        len: size_of_val(&info) as u32,
        info: info.as_mut_ptr().addr() as u64,
    };
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attributes)?;
    Ok(info)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_name_what_they_replace() {
        let mut info = [0; INFO_WORDS];
        info[..7].copy_from_slice(&[LINK_TRACING, 5, 38, 0, 0, 40, 12]);
        let target = Target::Program {
            id: 40,
            function: 12,
        };
        assert_eq!(
            parse(&info),
            Link {
                program: 38,
                target
            }
        );
        info[0] = LINK_XDP;
        assert_eq!(parse(&info).target, Target::Xdp);
        info[0] = 99;
        assert_eq!(parse(&info).target, Target::Other);
    }
}
