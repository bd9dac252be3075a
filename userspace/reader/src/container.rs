//! What the path of a cgroup says: which container or which systemd unit a process is in. Pure parsing;
//! where paths come from is `cgroups.rs`'s affair.
//!
//! | by | path ends in (64 hexadecimal digits for the id) |
//! |---|---|
//! | Docker | `docker-ID.scope`, `docker/ID` |
//! | containerd | `cri-containerd-ID.scope`, `nerdctl-ID.scope`, `…:cri-containerd:ID` |
//! | CRI-O | `crio-ID.scope` |
//! | podman | `libpod-ID.scope`, `libpod-ID` |
//! | the kubelet, runtime not told | `kubepods/…/podUID/ID` |
//!
//! A container may have cgroups of its own below; the innermost container counts. What watches a container
//! from outside (`crio-conmon-ID.scope`, `libpod-conmon-ID.scope`) is not in it.

/// Who runs a container, where its path tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Docker.
    Docker,
    /// containerd: through the CRI, or nerdctl.
    Containerd,
    /// CRI-O.
    CriO,
    /// podman.
    Podman,
}

impl Runtime {
    /// ECS `container.runtime`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::Podman => "podman",
        }
    }
}

/// Where a process is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Id of the container: 64 hexadecimal digits.
    pub container: Option<Box<str>>,
    /// Who runs it.
    pub runtime: Option<Runtime>,
    /// Name of the innermost systemd unit, inside the container if there is one. Hostile: whoever may make
    /// cgroups chooses it.
    pub unit: Option<Box<str>>,
}

impl Place {
    /// Reads a path below the root of the cgroup file system; `None` if it says nothing.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let container = (0..parts.len())
            .rev()
            .find_map(|at| Some((at, container(&parts[..=at])?)));
        let below = container.map_or(0, |(at, _)| at + 1);
        let is_unit = |part: &&&str| part.ends_with(".service") || part.ends_with(".scope");
        let unit = parts.get(below..)?.iter().rev().find(is_unit);
        if container.is_none() && unit.is_none() {
            return None;
        }
        Some(Self {
            container: container.map(|(_, (id, _))| id.into()),
            runtime: container.and_then(|(_, (_, runtime))| runtime),
            unit: unit.map(|unit| (*unit).into()),
        })
    }
}

/// Prefixes of the last part of a path.
const PREFIXES: [(&str, Runtime); 5] = [
    ("docker-", Runtime::Docker),
    ("cri-containerd-", Runtime::Containerd),
    ("nerdctl-", Runtime::Containerd),
    ("crio-", Runtime::CriO),
    ("libpod-", Runtime::Podman),
];

/// Id and runtime of the container whose cgroup is the last of these parts.
fn container<'p>(parts: &[&'p str]) -> Option<(&'p str, Option<Runtime>)> {
    let (last, above) = parts.split_last()?;
    let name = last.strip_suffix(".scope").unwrap_or(last);
    for (prefix, runtime) in PREFIXES {
        if let Some(id) = name.strip_prefix(prefix) {
            return is_id(id).then_some((id, Some(runtime)));
        }
    }
    if let Some((_, id)) = last.rsplit_once(":cri-containerd:") {
        return is_id(id).then_some((id, Some(Runtime::Containerd)));
    }
    if !is_id(last) {
        return None;
    }
    match above {
        [.., "docker"] => Some((last, Some(Runtime::Docker))),
        [.., pod] if pod.starts_with("pod") && above.contains(&"kubepods") => Some((last, None)),
        _ => None,
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const OTHER: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";

    #[test]
    fn paths_as_runtimes_make_them() {
        use Runtime::{Containerd, CriO, Docker, Podman};
        let burst = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice";
        let user = "user.slice/user-1000.slice/user@1000.service/user.slice";
        for (path, id, runtime, unit) in [
            (
                format!("/system.slice/docker-{ID}.scope"),
                ID,
                Some(Docker),
                None,
            ),
            (format!("/docker/{ID}"), ID, Some(Docker), None),
            (
                format!("/{burst}/cri-containerd-{ID}.scope"),
                ID,
                Some(Containerd),
                None,
            ),
            (
                format!("/system.slice/nerdctl-{ID}.scope"),
                ID,
                Some(Containerd),
                None,
            ),
            (
                format!("/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{ID}"),
                ID,
                Some(Containerd),
                None,
            ),
            (format!("/{burst}/crio-{ID}.scope"), ID, Some(CriO), None),
            (
                format!("/{burst}/crio-{ID}.scope/container"),
                ID,
                Some(CriO),
                None,
            ),
            (
                format!("/machine.slice/libpod-{ID}.scope"),
                ID,
                Some(Podman),
                None,
            ),
            (
                format!("/{user}/libpod-{ID}.scope/container"),
                ID,
                Some(Podman),
                None,
            ),
            (
                format!("/libpod_parent/libpod-{ID}"),
                ID,
                Some(Podman),
                None,
            ),
            (format!("/kubepods/burstable/pod1-2/{ID}"), ID, None, None),
            // systemd, and another engine, inside a container.
            (
                format!("/system.slice/docker-{ID}.scope/system.slice/nginx.service"),
                ID,
                Some(Docker),
                Some("nginx.service"),
            ),
            (
                format!("/docker/{OTHER}/docker/{ID}/init.scope"),
                ID,
                Some(Docker),
                Some("init.scope"),
            ),
        ] {
            let place = Place::parse(&path).unwrap();
            assert_eq!(place.container.as_deref(), Some(id), "{path}");
            assert_eq!(place.runtime, runtime, "{path}");
            assert_eq!(place.unit.as_deref(), unit, "{path}");
        }
    }

    #[test]
    fn units_without_a_container() {
        for (path, unit) in [
            ("/system.slice/nginx.service", "nginx.service"),
            ("/init.scope", "init.scope"),
            (
                "/user.slice/user-1000.slice/session-3.scope",
                "session-3.scope",
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox-7.scope",
                "app-firefox-7.scope",
            ),
            ("/system.slice/nginx.service/worker", "nginx.service"),
            // What watches a container is not in it.
            (
                &format!("/machine.slice/libpod-conmon-{ID}.scope"),
                &format!("libpod-conmon-{ID}.scope"),
            ),
            (
                &format!("/x/crio-conmon-{ID}.scope"),
                &format!("crio-conmon-{ID}.scope"),
            ),
            (
                &format!("/system.slice/docker-{}.scope", &ID[1..]),
                &format!("docker-{}.scope", &ID[1..]),
            ),
        ] {
            let place = Place::parse(path).unwrap();
            assert_eq!(
                (place.container, place.unit.as_deref()),
                (None, Some(unit)),
                "{path}"
            );
        }
    }

    #[test]
    fn paths_that_say_nothing() {
        let upper = format!("/docker/{}", ID.to_uppercase());
        let lone = format!("/{ID}");
        let pod = format!("/pods/pod1/{ID}");
        for path in [
            "/",
            "",
            "/system.slice",
            "/docker",
            "/lxc.payload.web",
            &upper,
            &lone,
            &pod,
        ] {
            assert_eq!(Place::parse(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_path_is_survived(path in "(/|docker|-|[0-9a-f]{64}|\\.scope|:cri-containerd:|pod|kubepods|é|\\PC){0,12}") {
            if let Some(id) = Place::parse(&path).and_then(|place| place.container) {
                prop_assert!(is_id(&id));
                prop_assert!(path.contains(&*id));
            }
        }
    }
}
