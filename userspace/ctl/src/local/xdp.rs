//! XDP programs of an interface, by rtnetlink. Like [`super::tc`] it acts on the calling thread's
//! network namespace.

use anyhow::{Context, Result};
use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::link::{LinkAttribute, LinkXdp, XdpAttached};

use super::tc::with_handle;

/// Programs by mode (`driver`, `generic` or `hardware`) and kernel id. At most one of `driver` and
/// `generic` is there.
pub(crate) fn xdp_programs(ifindex: u32) -> Result<Vec<(&'static str, u32)>> {
    with_handle(async |handle| {
        let mut links = handle.link().get().match_index(ifindex).execute();
        let Some(message) = links.try_next().await? else {
            return Ok(Vec::new());
        };
        let xdp = message.attributes.iter().find_map(|a| match a {
            LinkAttribute::Xdp(xdp) => Some(xdp.as_slice()),
            _ => None,
        });
        Ok(programs(xdp.unwrap_or_default()))
    })
    .with_context(|| format!("cannot look up the interface with index {ifindex}"))
}

/// Where there is one program `IFLA_XDP_PROG_ID` names it too, and `IFLA_XDP_ATTACHED` its mode.
fn programs(attributes: &[LinkXdp]) -> Vec<(&'static str, u32)> {
    let mut programs = Vec::new();
    let mut only = (None, None);
    for attribute in attributes {
        match attribute {
            LinkXdp::DrvProgId(id) => programs.push(("driver", *id)),
            LinkXdp::SkbProgId(id) => programs.push(("generic", *id)),
            LinkXdp::HwProgId(id) => programs.push(("hardware", *id)),
            LinkXdp::ProgId(id) => only.1 = Some(*id),
            LinkXdp::Attached(XdpAttached::Driver) => only.0 = Some("driver"),
            LinkXdp::Attached(XdpAttached::SocketBuffer) => only.0 = Some("generic"),
            LinkXdp::Attached(XdpAttached::Hardware) => only.0 = Some("hardware"),
            _ => {}
        }
    }
    if let ((Some(mode), Some(id)), true) = (only, programs.is_empty()) {
        programs.push((mode, id));
    }
    programs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_program_is_named_once() {
        let one = [
            LinkXdp::Attached(XdpAttached::SocketBuffer),
            LinkXdp::ProgId(7),
            LinkXdp::SkbProgId(7),
        ];
        assert_eq!(programs(&one), [("generic", 7)]);
        assert_eq!(programs(&one[..2]), [("generic", 7)]);
        assert!(programs(&[LinkXdp::Attached(XdpAttached::None)]).is_empty());
    }
}
