//! From arguments to a plan that makes sense, before anything is touched.

use std::{fmt, io::Read, path::PathBuf};

use anyhow::{Context, Result};
use dns_trace_bpfman::{Credentials, Image, PullPolicy, Source, TcAction, XdpAction};
use dns_trace_images::{Login, Transport};

use super::{Args, Pattern, Pull, Settings};
use crate::{
    exit::{Exit, Failure},
    hook::HookChoice,
    instance::Instance,
    local::Netns,
};

/// What to load, and where.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) origin: Origin,
    /// Interfaces, each once; none for host-wide hooks.
    pub(crate) ifaces: Vec<Pattern>,
    /// Whether to stay, and to attach to interfaces as they appear.
    pub(crate) follow: bool,
    pub(crate) netns: Option<String>,
    pub(crate) hook: HookChoice,
    /// Whether to tell the owners of sockets, where the kernel can.
    pub(crate) owners: bool,
    pub(crate) priority: u16,
    pub(crate) proceed_on: ProceedOn,
    pub(crate) settings: Settings,
    pub(crate) instance: Instance,
    pub(crate) group: String,
    pub(crate) root: PathBuf,
}

/// Who loads, and from where.
#[derive(Debug)]
pub(crate) enum Origin {
    /// This process.
    Local(LocalOrigin),
    /// The bpfman daemon.
    Daemon { socket: PathBuf, source: Source },
}

/// Where this process takes the object from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LocalOrigin {
    BuiltIn,
    File(PathBuf),
    Image {
        reference: String,
        transport: Transport,
        /// As given; `None` asks the credential files.
        login: Option<Login>,
    },
}

/// Outcomes after which bpfman's dispatchers run later programs; empty for the daemon's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProceedOn {
    pub(crate) xdp: Vec<XdpAction>,
    pub(crate) tc: Vec<TcAction>,
}

impl ProceedOn {
    /// A word may mean something at one of the hooks only; one that means nothing at any is refused.
    fn parse(words: &[String], hook: HookChoice) -> Result<Self> {
        if !words.is_empty() && matches!(hook, HookChoice::Tcx | HookChoice::Tracepoint) {
            return Err(usage(
                "--proceed-on is for the hooks xdp and tc: elsewhere later programs always run",
            ));
        }
        Self::of_words(words)
    }

    /// The actions of these names.
    pub(crate) fn of_words(words: &[String]) -> Result<Self> {
        let mut proceed_on = Self::default();
        for word in words {
            let (xdp, tc) = (word.parse::<XdpAction>(), word.parse::<TcAction>());
            if let (Err(error), Err(_)) = (&xdp, &tc) {
                return Err(usage(format!("--proceed-on: {error}")));
            }
            proceed_on.xdp.extend(xdp);
            proceed_on.tc.extend(tc);
        }
        // They are sets.
        proceed_on.xdp.sort_unstable_by_key(|action| action.code());
        proceed_on.xdp.dedup();
        proceed_on.tc.sort_unstable_by_key(|action| action.code());
        proceed_on.tc.dedup();
        Ok(proceed_on)
    }
}

/// The names, each once and separated by commas.
impl fmt::Display for ProceedOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let xdp = self.xdp.iter().map(|action| action.name());
        let mut names: Vec<&str> = xdp.collect();
        for action in &self.tc {
            if !names.contains(&action.name()) {
                names.push(action.name());
            }
        }
        f.write_str(&names.join(","))
    }
}

fn usage(message: impl Into<String>) -> anyhow::Error {
    Failure::new(Exit::Usage, message)
}

impl Plan {
    /// The settings for interfaces of that namespace: the programs need not find out its cookie if
    /// they are told. Host-wide hooks see many namespaces.
    pub(crate) fn settings_in(&self, ns: &Netns) -> Result<Settings> {
        let knows = self.hook != HookChoice::Tracepoint
            && (matches!(self.origin, Origin::Local(_)) || self.netns.is_some() || ns.is_hosts());
        let netns_cookie = if knows { ns.cookie()? } else { 0 };
        Ok(Settings {
            netns_cookie,
            ..self.settings
        })
    }
}

impl TryFrom<Args> for Plan {
    type Error = anyhow::Error;

    fn try_from(args: Args) -> Result<Self> {
        let select = args.select();
        let mut ifaces: Vec<Pattern> = Vec::new();
        for iface in &args.iface {
            let iface: Pattern = iface.parse().map_err(usage)?;
            if !ifaces.contains(&iface) {
                ifaces.push(iface);
            }
        }
        if args.follow && !ifaces.iter().any(Pattern::is_open) {
            return Err(usage(
                "--follow needs a pattern to follow, such as --iface 'veth*'",
            ));
        }
        match args.hook {
            HookChoice::Tracepoint if !ifaces.is_empty() || args.netns.is_some() => {
                return Err(usage(
                    "the hook tracepoint sees the whole host: leave out --iface and --netns",
                ));
            }
            HookChoice::Tracepoint => {}
            _ if ifaces.is_empty() => {
                return Err(usage(
                    "which interface? give --iface NAME (see: ip link), or --hook tracepoint for the whole host",
                ));
            }
            _ => {}
        }
        let proceed_on = ProceedOn::parse(&args.proceed_on, args.hook)?;
        let login = login(args.username, args.password_stdin)?;
        let transport = match (args.ca_file, args.plain_http) {
            (_, true) => Transport::PlainHttp,
            (Some(file), false) => Transport::TlsWithCa(file),
            (None, false) => Transport::Tls,
        };
        let origin = match (args.local, args.image, args.object) {
            (true, None, None) => Origin::Local(LocalOrigin::BuiltIn),
            (true, None, Some(path)) => Origin::Local(LocalOrigin::File(path)),
            (true, Some(reference), _) => Origin::Local(LocalOrigin::Image {
                reference,
                transport,
                login,
            }),
            (false, None, None) => {
                return Err(usage(
                    "give --image REF to load it through bpfman, or --local to load the built-in object without bpfman",
                ));
            }
            (false, Some(url), _) => {
                let credentials =
                    login.map(|Login { username, password }| Credentials { username, password });
                let image = Image {
                    url,
                    pull_policy: args.pull_policy.into(),
                    credentials,
                };
                Origin::Daemon {
                    socket: args.daemon.socket,
                    source: Source::Image(image),
                }
            }
            (false, None, Some(path)) => {
                let path = std::path::absolute(path).context("cannot tell the current folder")?;
                Origin::Daemon {
                    socket: args.daemon.socket,
                    source: Source::File(path),
                }
            }
        };
        Ok(Self {
            origin,
            ifaces,
            follow: args.follow,
            netns: args.netns,
            hook: args.hook,
            owners: !args.no_owners,
            priority: args.priority,
            proceed_on,
            settings: Settings {
                ports: args.ports.0,
                snap_len: args.snap_len,
                sample: args.sample,
                select,
                // The namespace is looked up when it is opened.
                netns_cookie: 0,
            },
            instance: args.bundle.instance,
            group: args.readers.group,
            root: args.bundle.root,
        })
    }
}

impl From<Pull> for PullPolicy {
    fn from(pull: Pull) -> Self {
        match pull {
            Pull::Always => Self::Always,
            Pull::IfNotPresent => Self::IfNotPresent,
            Pull::Never => Self::Never,
        }
    }
}

/// A password never stands on the command line, where every user of the host can read it.
fn login(username: Option<String>, from_stdin: bool) -> Result<Option<Login>> {
    const LONGEST: u64 = 64 << 10;
    let Some(username) = username.filter(|_| from_stdin) else {
        return Ok(None);
    };
    let mut password = String::new();
    std::io::stdin()
        .lock()
        .take(LONGEST)
        .read_to_string(&mut password)
        .context("cannot read the password from standard input")?;
    let password = password.trim_end_matches(['\r', '\n']).to_owned();
    if password.is_empty() {
        return Err(usage("standard input has no password"));
    }
    Ok(Some(Login { username, password }))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn plan(line: &str) -> Result<Plan> {
        let words = format!("dns-tracectl load {line}");
        let cli =
            Cli::try_parse_from(words.split_whitespace()).map_err(|e| usage(e.to_string()))?;
        let Command::Load(args) = cli.command else {
            panic!("{words} is no load")
        };
        Plan::try_from(args)
    }

    fn code(line: &str) -> Exit {
        crate::exit::code_of(&plan(line).unwrap_err())
    }

    #[test]
    fn local_takes_the_built_in_object() {
        let plan = plan("--local --iface eth0,eth1 --iface eth0").unwrap();
        assert!(matches!(plan.origin, Origin::Local(LocalOrigin::BuiltIn)));
        let ifaces: Vec<String> = plan.ifaces.iter().map(ToString::to_string).collect();
        assert_eq!(ifaces, ["eth0", "eth1"]);
        assert_eq!(
            (plan.instance.as_str(), plan.group.as_str()),
            ("default", "dns-trace")
        );
        assert_eq!(
            plan.settings,
            Settings {
                ports: dns_trace_event::DEFAULT_PORTS,
                ..Settings::default()
            }
        );
    }

    #[test]
    fn an_image_goes_through_bpfman() {
        let plan = plan("--image r.example/dns-trace:1 --iface eth0 --pull-policy always").unwrap();
        let Origin::Daemon {
            source: Source::Image(image),
            ..
        } = plan.origin
        else {
            panic!("not bpfman")
        };
        assert_eq!(image.pull_policy, PullPolicy::Always);
        assert_eq!(image.url, "r.example/dns-trace:1");
    }

    #[test]
    fn the_command_line_has_to_make_sense() {
        for line in [
            "--iface eth0",
            "--local",
            "--local --hook tracepoint --iface eth0",
            "--local --hook tracepoint --netns blue",
            "--local --iface eth0 --proceed-on pass",
            "--image r/x --iface eth0 --hook tcx --proceed-on pass",
            "--image r/x --iface eth0 --hook xdp --proceed-on jump",
            "--image r/x --object f --iface eth0",
            "--image r/x --iface eth0 --username u",
            "--local --iface eth0 --ports 0",
            "--local --iface eth0 --sample 0",
            "--local --iface eth0 --sample 65536",
            "--local --iface eth0 --responses-only --only-failures",
            "--local --iface eth0 --snap-len 0",
            "--local --iface eth0 --snap-len 4097",
            "--local --iface eth0 --priority 0",
            "--local --iface eth0 --instance a.b",
            "--local --iface a/b",
            "--local --iface abcdefghijklmnop",
            "--local --iface eth0 --follow",
            "--local --hook tracepoint --follow",
        ] {
            assert_eq!(code(line), Exit::Usage, "{line}");
        }
    }

    #[test]
    fn proceed_on_words_go_to_the_hooks_that_know_them() {
        let plan =
            plan("--image r/x --iface eth0 --hook xdp --proceed-on pass,pipe,dispatcher_return")
                .unwrap();
        assert_eq!(
            plan.proceed_on.xdp,
            [XdpAction::Pass, XdpAction::DispatcherReturn]
        );
        assert_eq!(
            plan.proceed_on.tc,
            [TcAction::Pipe, TcAction::DispatcherReturn]
        );
    }

    #[test]
    fn the_whole_host_needs_no_interface() {
        assert!(plan("--local --hook tracepoint").unwrap().ifaces.is_empty());
    }
}
