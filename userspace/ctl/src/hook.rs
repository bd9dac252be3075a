//! The places where a program can be attached, and which program goes where.

use std::{fmt, str::FromStr};

use clap::ValueEnum;
use dns_trace_event as event;

/// Hook that the operator chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum HookChoice {
    /// tcx where the kernel has it, else tc
    #[default]
    Auto,
    /// both directions of each interface; Linux 6.6
    Tcx,
    /// both directions of each interface, by clsact filters
    Tc,
    /// ingress before the kernel's stack; egress by tcx or tc, so that lookups are whole
    Xdp,
    /// every packet of every namespace of this host; takes no interface
    Tracepoint,
}

/// Kind of hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hook {
    /// TCX link.
    Tcx,
    /// Filter of a clsact queueing discipline.
    Tc,
    /// XDP.
    Xdp,
    /// Tracepoint `net:net_dev_queue`.
    DevQueue,
    /// Tracepoint `net:netif_receive_skb`.
    ReceiveSkb,
    /// fentry of `udp_sendmsg`.
    UdpSend,
    /// fentry of `udpv6_sendmsg`.
    Udp6Send,
    /// fentry of `tcp_sendmsg`.
    TcpSend,
}

/// Direction of the packets that a hook sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Direction {
    /// Towards the host.
    Ingress,
    /// Out of the host.
    Egress,
}

/// A hook in one direction, and the program for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    /// Where.
    pub(crate) hook: Hook,
    /// Which packets.
    pub(crate) direction: Direction,
    /// Name of the program, a contract of the object.
    pub(crate) program: &'static str,
}

impl Hook {
    /// Every kind.
    pub(crate) const ALL: [Self; 8] = [
        Self::Tcx,
        Self::Tc,
        Self::Xdp,
        Self::DevQueue,
        Self::ReceiveSkb,
        Self::UdpSend,
        Self::Udp6Send,
        Self::TcpSend,
    ];

    /// Name in pins and on screen. No hyphen: that separates fields in pins.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Tc => "tc",
            Self::Xdp => "xdp",
            Self::DevQueue => "dev_queue",
            Self::ReceiveSkb => "receive_skb",
            Self::UdpSend => "udp_sendmsg",
            Self::Udp6Send => "udpv6_sendmsg",
            Self::TcpSend => "tcp_sendmsg",
        }
    }

    /// Category and name of the tracepoint, for the hooks that are one.
    pub(crate) const fn tracepoint(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::DevQueue => Some(("net", "net_dev_queue")),
            Self::ReceiveSkb => Some(("net", "netif_receive_skb")),
            _ => None,
        }
    }

    /// Whether it is at the entry of a kernel function, of the hook's name.
    pub(crate) const fn is_function(self) -> bool {
        matches!(self, Self::UdpSend | Self::Udp6Send | Self::TcpSend)
    }

    /// Whether it sees the whole host, not one interface.
    pub(crate) const fn is_host_wide(self) -> bool {
        self.tracepoint().is_some() || self.is_function()
    }
}

impl Direction {
    /// Name in pins and on screen.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Hook {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|hook| hook.name() == text)
            .ok_or(())
    }
}

impl FromStr for Direction {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Ingress, Self::Egress]
            .into_iter()
            .find(|d| d.name() == text)
            .ok_or(())
    }
}

const fn point(hook: Hook, direction: Direction) -> Point {
    Point {
        hook,
        direction,
        program: program_at(hook, direction),
    }
}

/// The points of a choice, for one interface or (tracepoints) for the host. `has_tcx` says whether
/// this kernel has TCX.
pub(crate) fn points(choice: HookChoice, has_tcx: bool) -> Vec<Point> {
    use Direction::{Egress, Ingress};
    let tcx = |direction| point(Hook::Tcx, direction);
    let tc_egress = point(Hook::Tc, Egress);
    match choice {
        HookChoice::Tcx => vec![tcx(Ingress), tcx(Egress)],
        HookChoice::Auto if has_tcx => vec![tcx(Ingress), tcx(Egress)],
        HookChoice::Auto | HookChoice::Tc => {
            vec![point(Hook::Tc, Ingress), tc_egress]
        }
        HookChoice::Xdp => {
            let egress = if has_tcx { tcx(Egress) } else { tc_egress };
            vec![point(Hook::Xdp, Ingress), egress]
        }
        HookChoice::Tracepoint => vec![
            point(Hook::DevQueue, Egress),
            point(Hook::ReceiveSkb, Ingress),
        ],
    }
}

/// Where the programs go that tell the owners of sockets, on every host and beside every choice.
pub(crate) fn owners() -> [Point; 3] {
    [Hook::UdpSend, Hook::Udp6Send, Hook::TcpSend].map(|hook| point(hook, Direction::Egress))
}

/// Name of the program for a hook in one direction.
pub(crate) const fn program_at(hook: Hook, direction: Direction) -> &'static str {
    match (hook, direction) {
        (Hook::Tcx, _) => event::PROG_TCX,
        (Hook::Tc, Direction::Ingress) => event::PROG_TC_INGRESS,
        (Hook::Tc, Direction::Egress) => event::PROG_TC_EGRESS,
        (Hook::Xdp, _) => event::PROG_XDP,
        (Hook::DevQueue, _) => event::PROG_DEV_QUEUE,
        (Hook::ReceiveSkb, _) => event::PROG_RECEIVE_SKB,
        (Hook::UdpSend, _) => event::PROG_OWN_UDP,
        (Hook::Udp6Send, _) => event::PROG_OWN_UDP6,
        (Hook::TcpSend, _) => event::PROG_OWN_TCP,
    }
}

/// Names of the programs of these points, each once, in their order.
pub(crate) fn programs(points: &[Point]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for point in points {
        if !names.contains(&point.program) {
            names.push(point.program);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_sees_both_directions() {
        for choice in HookChoice::value_variants() {
            for has_tcx in [false, true] {
                let points = points(*choice, has_tcx);
                let mut directions: Vec<_> = points.iter().map(|p| p.direction).collect();
                directions.sort();
                assert_eq!(
                    directions,
                    [Direction::Ingress, Direction::Egress],
                    "{choice:?}"
                );
            }
        }
    }

    #[test]
    fn without_tcx_nothing_but_an_explicit_choice_asks_for_it() {
        for choice in [
            HookChoice::Auto,
            HookChoice::Tc,
            HookChoice::Xdp,
            HookChoice::Tracepoint,
        ] {
            assert!(
                points(choice, false).iter().all(|p| p.hook != Hook::Tcx),
                "{choice:?}"
            );
        }
        assert_eq!(programs(&points(HookChoice::Auto, true)), [event::PROG_TCX]);
    }

    #[test]
    fn owners_are_those_of_the_contract() {
        let owners = owners().map(|point| (point.program, point.hook.name()));
        assert_eq!(owners, event::OWNER_PROGRAMS);
    }

    #[test]
    fn names_come_back() {
        for hook in Hook::ALL {
            assert_eq!(hook.name().parse(), Ok(hook));
            assert!(!hook.name().contains('-'));
        }
        assert_eq!("sideways".parse::<Direction>(), Err(()));
    }
}
