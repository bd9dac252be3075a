//! Where to attach.

use std::path::PathBuf;

/// A place to attach a loaded program to. It has to fit the type that the program was loaded as;
/// 0.6.0 answers a wrong pair with "Internal error occurred. task … panicked".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attach {
    /// XDP, ingress.
    Xdp {
        /// Interface and place in its chain.
        place: Place,
        /// Outcomes after which later programs run; empty: the daemon's default, which is
        /// `pass, dispatcher_return`.
        proceed_on: Vec<XdpAction>,
    },
    /// tc, at a clsact queueing discipline that the daemon makes.
    Tc {
        /// Interface and place in its chain.
        place: Place,
        /// Ingress or egress.
        direction: Direction,
        /// Outcomes after which later programs run; empty: the daemon's default, which is
        /// `pipe, dispatcher_return`. `Ok` is not in it: a program that returns `TC_ACT_OK` ends
        /// the chain.
        proceed_on: Vec<TcAction>,
    },
    /// TCX. The kernel itself chains the programs: TCX_NEXT (-1) goes on, anything else ends it.
    Tcx {
        /// Interface and place in its chain.
        place: Place,
        /// Ingress or egress.
        direction: Direction,
    },
    /// A tracepoint, such as `net/net_dev_queue`.
    Tracepoint(String),
    /// The function that the program was loaded for.
    Fentry,
}

/// An interface, and the place in the chain of programs there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the interface.
    pub iface: String,
    /// Lower runs first; bpfman's tools take 1 to 1000, the daemon checks nothing. Among equals at a
    /// TCX hook the program that is already there runs first; at XDP and tc do not count on an order.
    pub priority: i32,
    /// Namespace file, such as `/run/netns/blue` or `/proc/4711/ns/net`, as the daemon sees it;
    /// `None`: the daemon's own namespace. Keep the path: the daemon needs it again to detach.
    pub netns: Option<PathBuf>,
}

/// Direction of traffic at an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Towards the host.
    Ingress,
    /// Out of the host.
    Egress,
}

/// Declares an enum of return codes with bpfman's names for them.
macro_rules! actions {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $code:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(i32)]
        pub enum $name { $($(#[$item_doc])* $item = $code,)* }

        impl $name {
            /// Every action, in the order of the codes.
            pub const ALL: &[Self] = &[$(Self::$item),*];

            /// Number on the wire, which is the return code.
            #[must_use]
            pub const fn code(self) -> i32 {
                self as i32
            }

            /// Name that bpfman's tools use.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$item => $text,)* }
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$item),)*
                    _ => Err(crate::Error::UnknownAction {
                        action: text.escape_debug().to_string(),
                        known: concat!($($text, " "),*).trim_end(),
                    }),
                }
            }
        }
    };
}

actions! {
    /// Outcome of an XDP program (`enum xdp_action` in `linux/bpf.h`).
    XdpAction {
        /// XDP_ABORTED.
        Aborted = 0, "aborted";
        /// XDP_DROP.
        Drop = 1, "drop";
        /// XDP_PASS.
        Pass = 2, "pass";
        /// XDP_TX.
        Tx = 3, "tx";
        /// XDP_REDIRECT.
        Redirect = 4, "redirect";
        /// What the dispatcher returns for an empty slot.
        DispatcherReturn = 31, "dispatcher_return";
    }
}

actions! {
    /// Outcome of a tc program (`TC_ACT_*` in `linux/pkt_cls.h`).
    TcAction {
        /// TC_ACT_UNSPEC.
        Unspec = -1, "unspec";
        /// TC_ACT_OK.
        Ok = 0, "ok";
        /// TC_ACT_RECLASSIFY.
        Reclassify = 1, "reclassify";
        /// TC_ACT_SHOT.
        Shot = 2, "shot";
        /// TC_ACT_PIPE.
        Pipe = 3, "pipe";
        /// TC_ACT_STOLEN.
        Stolen = 4, "stolen";
        /// TC_ACT_QUEUED.
        Queued = 5, "queued";
        /// TC_ACT_REPEAT.
        Repeat = 6, "repeat";
        /// TC_ACT_REDIRECT.
        Redirect = 7, "redirect";
        /// TC_ACT_TRAP.
        Trap = 8, "trap";
        /// What the dispatcher returns for an empty slot.
        DispatcherReturn = 30, "dispatcher_return";
    }
}
