//! Credentials, where `docker login`, `podman login` and `skopeo login` put them.

use std::{
    collections::HashMap,
    env, fmt, fs, io,
    io::Read,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

use crate::Error;

/// Most bytes of a credential file.
const FILE_MAX: u64 = 1 << 20;
/// docker.io's name in credential files.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// User name and password. Their `Debug` form hides the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// User name.
    pub username: String,
    /// Password or token.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    auths: HashMap<String, Entry>,
    cred_helpers: HashMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    identitytoken: Option<String>,
}

/// Looks for credentials of `registry` (host and port) in `$REGISTRY_AUTH_FILE`,
/// `$DOCKER_CONFIG/config.json`, `~/.docker/config.json` and
/// `$XDG_RUNTIME_DIR/containers/auth.json`; the first file that has some wins.
///
/// # Errors
/// [`Error::CredentialFile`] for a file that cannot be read or understood,
/// [`Error::CredentialHelper`] where a helper program keeps them.
pub fn find(registry: &str) -> Result<Option<Login>, Error> {
    for path in candidates() {
        if let Some(login) = find_in(&path, registry)? {
            return Ok(Some(login));
        }
    }
    Ok(None)
}

fn candidates() -> Vec<PathBuf> {
    let variable = |name| {
        env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    if let Some(file) = variable("REGISTRY_AUTH_FILE") {
        return vec![file];
    }
    let docker = variable("DOCKER_CONFIG")
        .or_else(|| variable("HOME").map(|home| home.join(".docker")))
        .map(|folder| folder.join("config.json"));
    let podman = variable("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json"));
    docker.into_iter().chain(podman).collect()
}

fn find_in(path: &Path, registry: &str) -> Result<Option<Login>, Error> {
    let broken = |cause: &dyn ToString| Error::CredentialFile {
        path: path.to_path_buf(),
        cause: crate::error::one_line(&cause.to_string()),
    };
    let mut text = String::new();
    match fs::File::open(path) {
        Ok(file) => file
            .take(FILE_MAX)
            .read_to_string(&mut text)
            .map_err(|e| broken(&e))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(broken(&error)),
    };
    let file: File = serde_json::from_str(&text).map_err(|e| broken(&e))?;
    lookup(&file, registry).map_err(|problem| match problem {
        Problem::Helper(helper) => Error::CredentialHelper {
            registry: registry.to_owned(),
            helper: crate::error::one_line(&helper),
        },
        Problem::Malformed(cause) => broken(&format!("entry of {registry}: {cause}")),
    })
}

enum Problem {
    Helper(String),
    Malformed(&'static str),
}

fn lookup(file: &File, registry: &str) -> Result<Option<Login>, Problem> {
    if let Some(helper) = file.cred_helpers.get(registry) {
        return Err(Problem::Helper(helper.clone()));
    }
    let Some(entry) = file
        .auths
        .iter()
        .find(|(key, _)| names(key, registry))
        .map(|(_, e)| e)
    else {
        return Ok(None);
    };
    if entry
        .identitytoken
        .as_deref()
        .is_some_and(|token| !token.is_empty())
    {
        return Err(Problem::Malformed(
            "identity tokens are not supported; log in with a password",
        ));
    }
    match (
        entry.auth.as_deref().filter(|auth| !auth.is_empty()),
        &file.creds_store,
    ) {
        (Some(auth), _) => decode(auth).map(Some),
        // With a store docker leaves an empty entry behind.
        (None, Some(store)) => Err(Problem::Helper(store.clone())),
        (None, None) => Ok(None),
    }
}

/// Whether a key of the file, a host or an old-style URL, names the registry.
fn names(key: &str, registry: &str) -> bool {
    if registry == "docker.io" || registry == "index.docker.io" {
        return key == DOCKER_HUB || key == "docker.io";
    }
    let host = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    host.split('/').next() == Some(registry)
}

fn decode(auth: &str) -> Result<Login, Problem> {
    let bytes = STANDARD
        .decode(auth)
        .map_err(|_| Problem::Malformed("auth is not base64"))?;
    let text = String::from_utf8(bytes).map_err(|_| Problem::Malformed("auth is not UTF-8"))?;
    let (username, password) = text
        .split_once(':')
        .ok_or(Problem::Malformed("auth is not USER:PASSWORD"))?;
    Ok(Login {
        username: username.to_owned(),
        password: password.trim_end_matches('\0').to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find_text(json: &str, registry: &str) -> Result<Option<Login>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, json).unwrap();
        find_in(&path, registry)
    }

    fn login(username: &str, password: &str) -> Option<Login> {
        Some(Login {
            username: username.into(),
            password: password.into(),
        })
    }

    #[test]
    fn docker_logins_are_found() {
        let json = r#"{"auths": {"r.example:5000": {"auth": "dTpwOnE="},
            "https://index.docker.io/v1/": {"auth": "aHViOng="}, "https://old.example/v1/": {"auth": "bzpw"}}}"#;
        assert_eq!(
            find_text(json, "r.example:5000").unwrap(),
            login("u", "p:q")
        );
        assert_eq!(find_text(json, "docker.io").unwrap(), login("hub", "x"));
        assert_eq!(find_text(json, "old.example").unwrap(), login("o", "p"));
        assert_eq!(find_text(json, "r.example").unwrap(), None);
        assert_eq!(find_text("{}", "r.example").unwrap(), None);
    }

    #[test]
    fn helpers_are_refused_by_name() {
        for json in [
            r#"{"auths": {"r.example": {}}, "credsStore": "pass"}"#,
            r#"{"credHelpers": {"r.example": "pass"}}"#,
        ] {
            let text = find_text(json, "r.example").unwrap_err().to_string();
            assert!(
                text.contains("docker-credential-pass") && text.contains("--password-stdin"),
                "{text}"
            );
            assert_eq!(find_text(json, "other.example").unwrap(), None);
        }
    }

    #[test]
    fn broken_files_are_refused_in_one_line() {
        for json in [
            "",
            "{",
            "7",
            r#"{"auths": {"r.example": {"auth": "%"}}}"#,
            r#"{"auths": {"r.example": {"auth": "dXNlcg=="}}}"#,
            r#"{"auths": {"r.example": {"identitytoken": "t"}}}"#,
        ] {
            let text = find_text(json, "r.example").unwrap_err().to_string();
            assert!(
                text.contains("config.json") && !text.contains('\n'),
                "{json}: {text}"
            );
        }
        let missing = find_in(Path::new("/nonexistent/config.json"), "r.example");
        assert_eq!(missing.unwrap(), None);
    }

    #[test]
    fn passwords_stay_out_of_debug_output() {
        assert!(!format!("{:?}", login("user", "secret")).contains("secret"));
    }

    proptest! {
        #[test]
        fn any_auth(auth in ".{0,40}") {
            let _ = decode(&auth);
            let _ = decode(&STANDARD.encode(&auth));
        }
    }
}
