//! Image references.

use oci_distribution::Reference;

use crate::Error;

/// Parses a reference. The registry has to be named: bpfman and this crate must not differ in what
/// an unnamed one would be.
pub(crate) fn parse(text: &str) -> Result<Reference, Error> {
    let refuse = |cause: &str| Error::Reference {
        text: crate::error::one_line(text),
        cause: cause.to_owned(),
    };
    let host = text.split_once('/').map_or("", |(host, _)| host);
    if !host.contains(['.', ':']) && host != "localhost" {
        return Err(refuse("it does not name a registry"));
    }
    text.parse::<Reference>()
        .map_err(|e| refuse(&e.to_string()))
}

/// Host and port of the registry that a reference names, as credential files call it.
///
/// # Errors
/// [`Error::Reference`].
pub fn registry_of(text: &str) -> Result<String, Error> {
    parse(text).map(|image| image.resolve_registry().to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn registries_are_named() {
        for text in [
            "r.example/x:1",
            "localhost/x",
            "127.0.0.1:5000/a/b:c",
            "localhost:5000/x",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "x",
            "x:1",
            "a/b:1",
            "r.example/",
            "r.example/X Y",
            "r.example/x@sha256:1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(
            parse("alpine:3").unwrap_err().to_string(),
            "\"alpine:3\" is not an image reference: it does not name a registry (write \
             REGISTRY/NAME:TAG)"
        );
    }
}
