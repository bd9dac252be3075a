//! Where a loaded bundle hands its maps over: paths below the bundle's own bpffs.
//!
//! ```text
//! /run/dns-trace/                    bpffs of the bundle         0750 root:GROUP
//!   _lock/                           one operator's tool at a time   0700 root:root
//!   <instance>/                                                  0750 root:GROUP
//!     rings/<n>/                     one folder a ring, from 0   0750 root:GROUP
//!       dns_events                   pin, the ring               0660 root:GROUP
//!       dns_stats                    pin, the counters           0660 root:GROUP
//!       dns_control                  pin, the doorbell           0660 root:GROUP
//!     local/ or bpfman/              what `load` keeps           0750 root:GROUP
//!       programs/<program>           pin; with `--local` only    0700 root:root
//!       programs_next/<program>    likewise, while `upgrade` is under way
//!       links/                       where it is attached        0750 root:GROUP
//!         <hook>-<direction>-<ifindex>-<netns inode>   pin for root alone, or symbolic link with a note
//!       facts/<name>                 symbolic link whose target is the fact   0700 root:root
//! ```
//!
//! A reader holds an exclusive `flock` on each `rings/<n>` folder while it reads, since a ring has
//! one consumer. bpffs allows no dots in names. Where instances have different groups, the root is
//! 0711 root:root: it can be entered and not listed. While rings are replaced, `rings_next` and
//! `rings_old` stand beside `rings`.

/// Mount point of the bundle's bpffs.
pub const BUNDLE_ROOT: &str = "/run/dns-trace";
/// Name of the instance unless the operator chose another.
pub const DEFAULT_INSTANCE: &str = "default";
/// Group whose members may read unless the operator chose another.
pub const DEFAULT_GROUP: &str = "dns-trace";
/// Folder of the rings inside an instance.
pub const RINGS_DIR: &str = "rings";
/// Folder of the pins that `load --local` makes inside an instance.
pub const LOCAL_DIR: &str = "local";
/// Folder of what `load` through bpfman keeps inside an instance.
pub const BPFMAN_DIR: &str = "bpfman";
/// Folder in either, whose names say where programs are attached. Readers may list it.
pub const LINKS_DIR: &str = "links";
