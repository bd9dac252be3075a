//! A registry that wants a password, over TLS with a private authority: none, a wrong one, the right
//! one; from root's credential file and from standard input; for our own client and for bpfman.

use std::fs;

use anyhow::Result;

use crate::lab::ctl::{ctl, nothing_left};
use crate::lab::net::{self, SERVER_DEVICE};
use crate::lab::registry::{self, CA, PASSWORD, REGISTRY, USER};
use crate::lab::sh::{self, Outcome};

/// Root's home in this scenario.
const HOME: &str = "/run/lab/home";
/// `user:U*U`, as `docker login` writes it.
const RIGHT: &str = "dXNlcjpVKlU=";
/// `user:wrong`.
const WRONG: &str = "dXNlcjp3cm9uZw==";

/// Where the credentials come from.
#[derive(Clone, Copy)]
enum Login {
    None,
    /// The credential file, with this entry.
    File(&'static str),
    /// Standard input, with this password.
    Stdin(&'static str),
}

const REFUSED: [Login; 3] = [Login::None, Login::File(WRONG), Login::Stdin("wrong")];
const ACCEPTED: [Login; 2] = [Login::File(RIGHT), Login::Stdin(PASSWORD)];

/// Runs `dns-tracectl` with a login.
fn with(login: Login, words: &[&str]) -> Result<Outcome> {
    let folder = format!("{HOME}/.docker");
    fs::create_dir_all(&folder)?;
    let auths = match login {
        Login::File(auth) => format!("{{\"{REGISTRY}\": {{\"auth\": \"{auth}\"}}}}"),
        Login::None | Login::Stdin(_) => "{}".to_owned(),
    };
    fs::write(
        format!("{folder}/config.json"),
        format!("{{\"auths\": {auths}}}"),
    )?;
    let mut command = sh::command(&["dns-tracectl"]);
    command.args(words).env("HOME", HOME);
    match login {
        Login::Stdin(password) => {
            command.args(["--username", USER, "--password-stdin"]);
            sh::run_with(&mut command, &format!("{password}\n"))
        }
        Login::None | Login::File(_) => sh::run(&mut command),
    }
}

/// Our own client: `image push`, `image inspect`, `load --local --image`.
pub(crate) fn ours() -> Result<()> {
    net::create()?;
    let _registry = registry::start_with_password()?;
    let image = format!("{REGISTRY}/dns-trace:1");
    let push = ["image", "push", &image, "--ca-file", CA];
    let inspect = ["image", "inspect", &image, "--ca-file", CA];
    let load = [
        "load",
        "--local",
        "--image",
        &image,
        "--ca-file",
        CA,
        "--hook",
        "tc",
        "--netns",
        "server",
        "--iface",
        SERVER_DEVICE,
    ];
    with(Login::File(RIGHT), &["image", "push", &image])?
        .exits(8)?
        .refuses(&["certificate", "--ca-file"])?;
    for login in REFUSED {
        with(login, &push)?.exits(8)?.refuses(&["docker login"])?;
    }
    for login in ACCEPTED {
        with(login, &push)?.ok()?;
    }
    for login in REFUSED {
        for words in [&inspect[..], &load] {
            with(login, words)?.exits(8)?.refuses(&["docker login"])?;
        }
        nothing_left()?;
    }
    for login in ACCEPTED {
        with(login, &inspect)?.ok()?;
        with(login, &load)?.ok()?;
        ctl(&["unload"])?.ok()?;
        nothing_left()?;
    }
    Ok(())
}

/// bpfman, which reads no credential file: what root's file says travels in the request.
pub(crate) fn bpfman() -> Result<()> {
    net::create()?;
    let _registry = registry::start_with_password()?;
    let image = format!("{REGISTRY}/dns-trace:1");
    with(
        Login::File(RIGHT),
        &["image", "push", &image, "--ca-file", CA],
    )?
    .ok()?;
    let _bpfman = registry::bpfman()?;
    let load = [
        "load",
        "--image",
        &image,
        "--pull-policy",
        "always",
        "--hook",
        "tc",
        "--netns",
        "server",
        "--iface",
        SERVER_DEVICE,
    ];
    for login in REFUSED {
        with(login, &load)?
            .exits(5)?
            .refuses(&["user name and password"])?;
        nothing_left()?;
    }
    for login in ACCEPTED {
        with(login, &load)?.ok()?;
        ctl(&["unload"])?.ok()?;
        nothing_left()?;
    }
    Ok(())
}
