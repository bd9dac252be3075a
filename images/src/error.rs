//! What can go wrong with an image. Every message is one line and says what to do.

use std::{io, path::PathBuf};

/// Error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not an eBPF object, or a damaged one.
    #[error("corrupt object: {cause} (build it again: dns-tracectl image build)")]
    CorruptObject {
        /// What is wrong with it.
        cause: String,
    },
    /// An eBPF object of another project.
    #[error("not an object of dns-trace: it has no {missing}")]
    ForeignObject {
        /// Program or map that every object of dns-trace has.
        missing: String,
    },
    /// An object in the other byte order.
    #[error("the object for {expected} machines is {actual}; are the two files swapped?")]
    WrongByteOrder {
        /// What was asked for.
        expected: crate::ByteOrder,
        /// What the object says.
        actual: crate::ByteOrder,
    },
    /// The objects of the two byte orders are of different builds.
    #[error(
        "the little-endian and the big-endian object differ in their {what}; build both from the same source"
    )]
    ObjectsDiffer {
        /// In what.
        what: &'static str,
    },
    /// More bytes than an image of ours can have.
    #[error("{what} is larger than {limit} bytes; it is not a dns-trace image")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Most bytes.
        limit: usize,
    },
    /// A document that is not what the OCI specification says.
    #[error("malformed {what}: {cause}")]
    Malformed {
        /// Which document.
        what: &'static str,
        /// What is wrong.
        cause: String,
    },
    /// Bytes that do not have the digest under which they were asked for.
    #[error(
        "{what} has the digest {actual} instead of {expected}: it was damaged or replaced on the way"
    )]
    DigestMismatch {
        /// What.
        what: &'static str,
        /// What was asked for.
        expected: String,
        /// What came.
        actual: String,
    },
    /// An image that is not a bytecode image.
    #[error(
        "the image has no label {label}: it is not a bytecode image (make one with: dns-tracectl image build)"
    )]
    NoLabels {
        /// The label.
        label: &'static str,
    },
    /// Labels that say other things than the object.
    #[error(
        "the label {label} of the image does not describe its object: the label says {says}, the object has {has}"
    )]
    LabelMismatch {
        /// The label.
        label: &'static str,
        /// The label's value, shortened.
        says: String,
        /// What the object has.
        has: String,
    },
    /// An image from the future.
    #[error(
        "the image has ABI version {image}, this dns-tracectl knows {ours}: upgrade dns-trace, or use an image of its version"
    )]
    NewerAbi {
        /// The image's.
        image: u16,
        /// Ours.
        ours: u16,
    },
    /// No image for this kind of machine.
    #[error("the image is not for {wanted}; it is for: {available}")]
    NoPlatform {
        /// Architecture that was asked for.
        wanted: String,
        /// Architectures of the image.
        available: String,
    },
    /// Text that is not an image reference.
    #[error("{text:?} is not an image reference: {cause} (write REGISTRY/NAME:TAG)")]
    Reference {
        /// The text.
        text: String,
        /// What is wrong.
        cause: String,
    },
    /// The registry's certificate is not trusted.
    #[error(
        "{registry}: the certificate is not trusted: {cause} (give its CA with --ca-file FILE)"
    )]
    UntrustedCertificate {
        /// The registry.
        registry: String,
        /// What the TLS library says.
        cause: String,
    },
    /// The registry speaks plain HTTP.
    #[error("{registry} does not speak TLS (if it is meant to speak plain HTTP: --plain-http)")]
    NotTls {
        /// The registry.
        registry: String,
    },
    /// No connection.
    #[error("cannot reach the registry {registry}: {cause}")]
    Unreachable {
        /// The registry.
        registry: String,
        /// Why.
        cause: String,
    },
    /// The registry wants other credentials.
    #[error(
        "{registry} denies access to {reference} (log in with: docker login {registry}, or give --username and --password-stdin)"
    )]
    Unauthorised {
        /// The registry.
        registry: String,
        /// The image.
        reference: String,
    },
    /// No such image.
    #[error("{reference} does not exist in the registry")]
    NotFound {
        /// The image.
        reference: String,
    },
    /// The registry said no for a reason of its own.
    #[error("the registry refused to {operation} {reference}: {message}")]
    Refused {
        /// What was asked for.
        operation: &'static str,
        /// The image.
        reference: String,
        /// The registry's text on one line.
        message: String,
    },
    /// Credentials that only another program can hand out.
    #[error(
        "the credentials for {registry} are kept by docker-credential-{helper}, which dns-tracectl does not run (give --username and --password-stdin)"
    )]
    CredentialHelper {
        /// The registry.
        registry: String,
        /// Name of the helper.
        helper: String,
    },
    /// A credential file that cannot be used.
    #[error("credential file {}: {cause}", path.display())]
    CredentialFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A file or folder that cannot be read or written.
    #[error("cannot {operation} {}: {source}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A CA file without a certificate.
    #[error("{} has no certificate in PEM form", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
    },
    /// A host without any CA certificate. The HTTP client does not start there, not even for plain
    /// HTTP or with a CA of one's own.
    #[error(
        "cannot set up the HTTP client, most likely since this host has no CA certificates: {cause} (install the package ca-certificates, or set SSL_CERT_FILE to a file with certificates in PEM form)"
    )]
    NoAuthorities {
        /// Why.
        cause: String,
    },
    /// The HTTP client could not be set up.
    #[error("cannot set up the HTTP client: {cause}")]
    HttpClient {
        /// Why.
        cause: String,
    },
}

impl Error {
    /// For `map_err` on file operations.
    pub(crate) fn file(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            operation,
            path,
            source,
        }
    }

    pub(crate) fn malformed(what: &'static str, cause: impl ToString) -> Self {
        Self::Malformed {
            what,
            cause: one_line(&cause.to_string()),
        }
    }
}

/// Text from elsewhere, on one line, without control characters, at most 300 characters.
pub(crate) fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let line = words
        .filter(|w| !w.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    match line.char_indices().nth(300) {
        None => line,
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn foreign_text_is_tamed() {
        assert_eq!(one_line("a\r\n b\u{1b}[2J\tc"), "a b [2J c");
        assert_eq!(one_line(&"é".repeat(300)), "é".repeat(300));
        assert_eq!(one_line(&"é".repeat(301)), format!("{}…", "é".repeat(300)));
    }
}
