//! Links in the kernel: aya lists them, but does not tell what an extension replaces.

use anyhow::{Context, Result};

use crate::bpf::{self, Kind};

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
    while let Some(next) = bpf::next_link(id).context("cannot list the links of BPF programs")? {
        id = next;
        if let Ok(info) = bpf::info(Kind::Link, id) {
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
