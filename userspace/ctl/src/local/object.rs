//! The object that `load --local` loads: the built-in one, a file, or one out of an image.

use std::{io::Read, path::Path};

use anyhow::{Context, Result};
use dns_trace_bytecode::OBJECT_NATIVE;
use dns_trace_images::{
    Error, Login, Origin, Platform, Registry, Transport, find_login, registry_of,
};
use sha2::{Digest, Sha256};

use crate::{
    commands::image::failure,
    exit::{Exit, Failure},
};

/// Largest object that is read; ours has some tens of kilobytes.
const SIZE_MAX: u64 = 16 << 20;

/// An object and where it came from.
#[derive(Debug)]
pub(crate) struct Object {
    /// The ELF file.
    pub(crate) bytes: Vec<u8>,
    /// Origin in words.
    pub(crate) source: String,
    /// Whether it was built into this program, so that nobody can have damaged it.
    pub(crate) is_builtin: bool,
}

impl Object {
    /// The object that was built into this program.
    pub(crate) fn builtin() -> Self {
        Self {
            bytes: OBJECT_NATIVE.to_vec(),
            source: "built-in".to_owned(),
            is_builtin: true,
        }
    }

    /// An object from a file.
    pub(crate) fn file(path: &Path) -> Result<Self> {
        let size = std::fs::metadata(path).map(|m| m.len());
        let bytes = match size {
            Ok(size) if size > SIZE_MAX => {
                let message = format!("{} is no BPF object: it has {size} bytes", path.display());
                return Err(Failure::new(Exit::Object, message));
            }
            size => size.and_then(|_| std::fs::read(path)),
        };
        let bytes = bytes.map_err(|error| {
            let message = format!("cannot read the object {}: {error}", path.display());
            let exit = match error.kind() {
                std::io::ErrorKind::NotFound => Exit::Missing,
                std::io::ErrorKind::PermissionDenied => Exit::Permission,
                _ => Exit::Runtime,
            };
            Failure::new(exit, message)
        })?;
        let path = std::path::absolute(path).context("cannot tell the current folder")?;
        Ok(Self {
            bytes,
            source: path.display().to_string(),
            is_builtin: false,
        })
    }

    /// The object on standard input.
    pub(crate) fn stdin() -> Result<Self> {
        let mut bytes = Vec::new();
        std::io::stdin()
            .lock()
            .take(SIZE_MAX)
            .read_to_end(&mut bytes)
            .context("cannot read the object from standard input")?;
        Ok(Self {
            bytes,
            source: "standard input".to_owned(),
            is_builtin: false,
        })
    }

    /// The object for this machine out of an image in a registry.
    pub(crate) async fn image(
        reference: &str,
        transport: &Transport,
        login: Option<Login>,
    ) -> Result<Self> {
        let login = match login {
            None => stored_login(reference)?,
            given => given,
        };
        let registry = Registry::new(transport, login).map_err(failure)?;
        let origin = Origin::Registry {
            registry: &registry,
            reference: reference.to_owned(),
        };
        let pulled = origin.pull(Platform::native()).await.map_err(failure)?;
        Ok(Self {
            bytes: pulled.object,
            source: reference.to_owned(),
            is_builtin: false,
        })
    }

    /// `sha256:` and the digest of the bytes.
    pub(crate) fn digest(&self) -> String {
        let hex: String = Sha256::digest(&self.bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("sha256:{hex}")
    }
}

/// The login that `docker login` and its like left behind for the registry of an image. None where a
/// helper keeps it: many images need no login, and the registry says so if this one does.
pub(crate) fn stored_login(reference: &str) -> Result<Option<Login>> {
    let registry = registry_of(reference).map_err(failure)?;
    match find_login(&registry) {
        Err(Error::CredentialHelper { .. }) => Ok(None),
        login => login.map_err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_sha256sum() {
        let object = Object {
            bytes: b"abc".to_vec(),
            source: String::new(),
            is_builtin: false,
        };
        assert_eq!(
            object.digest(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn files_that_are_not_there_are_missing() {
        let error = Object::file(Path::new("/no/such.o")).unwrap_err();
        assert_eq!(crate::exit::code_of(&error), Exit::Missing);
    }
}
