//! A registry over HTTP: what goes out, what comes in, and how much of it at most.
//!
//! `oci-client` does the authentication and the uploads. Downloads and manifests are asked for here:
//! there it reads answers of any length, and it panics on registries that answer an upload of a
//! manifest by digest without a location.

use std::{error::Error as StdError, path::PathBuf, time::Duration};

use oci_distribution::{
    Client, Reference, RegistryOperation,
    client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol},
    errors::{OciDistributionError, OciErrorCode},
    manifest::{
        IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE,
        OCI_IMAGE_MEDIA_TYPE,
    },
    secrets::RegistryAuth,
};
use reqwest::{StatusCode, header};

use crate::{Bundle, Error, Login, error::one_line, reference, spec};

/// To connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Without a byte.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// Most bytes of a refusal that are read.
const REFUSAL_MAX: usize = 64 << 10;

/// How to talk to a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// TLS, with the system's CAs.
    #[default]
    Tls,
    /// TLS, with the system's CAs and those of a PEM file.
    TlsWithCa(PathBuf),
    /// Plain HTTP. Credentials travel in the clear.
    PlainHttp,
}

/// Client of one registry.
pub struct Registry {
    client: Client,
    http: reqwest::Client,
    auth: RegistryAuth,
    scheme: &'static str,
}

/// Index or manifest as it came.
pub(crate) struct Document {
    pub(crate) digest: String,
    pub(crate) bytes: Vec<u8>,
}

impl Registry {
    /// Sets up a client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::CaFile`] for an unusable CA file, [`Error::NoAuthorities`],
    /// [`Error::HttpClient`].
    pub fn new(transport: &Transport, login: Option<Login>) -> Result<Self, Error> {
        let pem = match transport {
            Transport::TlsWithCa(path) => Some(read_ca(path)?),
            Transport::Tls | Transport::PlainHttp => None,
        };
        let cannot = |e: &dyn StdError| Error::HttpClient { cause: chain(e) };
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(READ_LIMIT)
            .user_agent(concat!("dns-trace/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = &pem {
            let certificates =
                reqwest::Certificate::from_pem_bundle(pem).map_err(|e| cannot(&e))?;
            // Alone, as curl's --cacert.
            http = http.tls_certs_only(certificates);
        }
        let (protocol, scheme) = match transport {
            Transport::PlainHttp => (ClientProtocol::Http, "http"),
            Transport::Tls | Transport::TlsWithCa(_) => (ClientProtocol::Https, "https"),
        };
        let config = ClientConfig {
            protocol,
            use_monolithic_push: true,
            connect_timeout: Some(CONNECT_LIMIT),
            read_timeout: Some(READ_LIMIT),
            tls_certs_only: pem
                .into_iter()
                .map(|data| Certificate {
                    encoding: CertificateEncoding::Pem,
                    data,
                })
                .collect(),
            ..ClientConfig::default()
        };
        // oci-client makes a client of the default kind beside the one it is asked for, and panics
        // where that cannot be made.
        reqwest::Client::builder()
            .build()
            .map_err(|e| Error::NoAuthorities { cause: chain(&e) })?;
        let client = Client::try_from(config).map_err(|e| cannot(&e))?;
        let auth = match login {
            Some(Login { username, password }) => RegistryAuth::Basic(username, password),
            None => RegistryAuth::Anonymous,
        };
        Ok(Self {
            client,
            http: http.build().map_err(|e| cannot(&e))?,
            auth,
            scheme,
        })
    }

    /// Pushes an image: what the registry lacks of it, and last the index under the tag. Gives the
    /// digest of the index.
    ///
    /// # Errors
    /// [`Error::Reference`] also for a reference with a digest, and all that a registry can answer.
    pub async fn push(&self, text: &str, bundle: &Bundle) -> Result<String, Error> {
        let image = reference::parse(text)?;
        if image.digest().is_some() {
            return Err(Error::Reference {
                text: one_line(text),
                cause: "a push goes to a tag, not to a digest".to_owned(),
            });
        }
        self.authenticate(&image, RegistryOperation::Push).await?;
        for blob in &bundle.blobs {
            let failed = |e| oci_error("push to", &image, e);
            if !self
                .client
                .blob_exists(&image, &blob.digest)
                .await
                .map_err(failed)?
            {
                let bytes = blob.bytes.clone();
                self.client
                    .push_blob(&image, bytes, &blob.digest)
                    .await
                    .map_err(failed)?;
            }
        }
        for manifest in &bundle.manifests {
            self.put_manifest(&image, &manifest.digest, manifest)
                .await?;
        }
        self.put_manifest(&image, image.tag().unwrap_or("latest"), &bundle.index)
            .await?;
        Ok(bundle.index.digest.clone())
    }

    async fn put_manifest(
        &self,
        image: &Reference,
        name: &str,
        manifest: &crate::Blob,
    ) -> Result<(), Error> {
        let request = self
            .http
            .put(self.url(image, "manifests", name))
            .header(header::CONTENT_TYPE, manifest.media_type)
            .body(manifest.bytes.clone());
        self.send("push to", image, RegistryOperation::Push, request)
            .await
            .map(drop)
    }

    /// Fetches an index or a manifest by tag or digest, and verifies a digest.
    pub(crate) async fn manifest(&self, image: &Reference, name: &str) -> Result<Document, Error> {
        let accept = [
            OCI_IMAGE_INDEX_MEDIA_TYPE,
            OCI_IMAGE_MEDIA_TYPE,
            IMAGE_MANIFEST_LIST_MEDIA_TYPE,
            IMAGE_MANIFEST_MEDIA_TYPE,
        ];
        let request = self
            .http
            .get(self.url(image, "manifests", name))
            .header(header::ACCEPT, accept.join(", "));
        let answer = self
            .send("pull", image, RegistryOperation::Pull, request)
            .await?;
        let bytes = bounded(image, answer, "the manifest", crate::MANIFEST_MAX).await?;
        Ok(Document {
            digest: spec::digest(&bytes),
            bytes,
        })
    }

    /// Fetches a blob of at most `limit` bytes. The digest is for the caller to verify.
    pub(crate) async fn blob(
        &self,
        image: &Reference,
        digest: &str,
        what: &'static str,
        limit: usize,
    ) -> Result<Vec<u8>, Error> {
        let request = self.http.get(self.url(image, "blobs", digest));
        let answer = self
            .send("pull", image, RegistryOperation::Pull, request)
            .await?;
        bounded(image, answer, what, limit).await
    }

    fn url(&self, image: &Reference, kind: &str, name: &str) -> String {
        let registry = image.resolve_registry();
        format!(
            "{}://{registry}/v2/{}/{kind}/{name}",
            self.scheme,
            image.repository()
        )
    }

    /// Gets a token, if the registry hands out tokens.
    async fn authenticate(
        &self,
        image: &Reference,
        operation: RegistryOperation,
    ) -> Result<Option<String>, Error> {
        let name = match operation {
            RegistryOperation::Push => "push to",
            RegistryOperation::Pull => "pull",
        };
        self.client
            .auth(image, &self.auth, operation)
            .await
            .map_err(|e| oci_error(name, image, e))
    }

    /// Sends a request with what the registry wants as credentials; gives successful answers only.
    async fn send(
        &self,
        name: &'static str,
        image: &Reference,
        operation: RegistryOperation,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, Error> {
        let request = match (self.authenticate(image, operation).await?, &self.auth) {
            (Some(token), _) => request.bearer_auth(token),
            (None, RegistryAuth::Basic(username, password)) => {
                request.basic_auth(username, Some(password))
            }
            (None, _) => request,
        };
        let answer = request
            .send()
            .await
            .map_err(|e| transport_error(image, &e))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = bounded(image, answer, "the refusal", REFUSAL_MAX)
            .await
            .unwrap_or_default();
        Err(status_error(
            name,
            image,
            status,
            &String::from_utf8_lossy(&body),
        ))
    }
}

fn read_ca(path: &PathBuf) -> Result<Vec<u8>, Error> {
    let pem = std::fs::read(path).map_err(Error::file("read the CA file", path))?;
    if String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
        Ok(pem)
    } else {
        Err(Error::CaFile { path: path.clone() })
    }
}

/// Reads an answer, but never more than `limit` bytes of it.
async fn bounded(
    image: &Reference,
    mut answer: reqwest::Response,
    what: &'static str,
    limit: usize,
) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer
        .chunk()
        .await
        .map_err(|e| transport_error(image, &e))?
    {
        if bytes.len() + chunk.len() > limit {
            return Err(Error::TooLarge { what, limit });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The chain of causes on one line, repetitions left out.
fn chain(error: &dyn StdError) -> String {
    let mut parts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if parts.last().is_none_or(|last| !last.contains(&text)) {
            parts.push(text);
        }
        cause = error.source();
    }
    one_line(&parts.join(": "))
}

fn transport_error(image: &Reference, error: &reqwest::Error) -> Error {
    let registry = image.resolve_registry().to_owned();
    let cause = chain(error);
    // rustls reports both only as text.
    if cause.contains("invalid peer certificate") || cause.contains("certificate verify failed") {
        return Error::UntrustedCertificate { registry, cause };
    }
    if cause.contains("corrupt message") {
        return Error::NotTls { registry };
    }
    Error::Unreachable { registry, cause }
}

fn status_error(
    operation: &'static str,
    image: &Reference,
    status: StatusCode,
    message: &str,
) -> Error {
    let reference = image.whole();
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::Unauthorised {
            registry: image.resolve_registry().to_owned(),
            reference,
        },
        StatusCode::NOT_FOUND => Error::NotFound { reference },
        _ => Error::Refused {
            operation,
            reference,
            message: one_line(&format!("{status} {message}")),
        },
    }
}

fn oci_error(operation: &'static str, image: &Reference, error: OciDistributionError) -> Error {
    use OciDistributionError as Oci;
    let status = match &error {
        Oci::RequestError(error) => match error.status() {
            Some(status) => status,
            None => return transport_error(image, error),
        },
        Oci::AuthenticationFailure(_) | Oci::UnauthorizedError { .. } => StatusCode::UNAUTHORIZED,
        Oci::ImageManifestNotFoundError(_) => StatusCode::NOT_FOUND,
        Oci::ServerError { code, .. } => {
            StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        }
        Oci::RegistryError { envelope, .. } => match envelope.errors.first().map(|e| &e.code) {
            Some(OciErrorCode::Unauthorized | OciErrorCode::Denied) => StatusCode::UNAUTHORIZED,
            Some(OciErrorCode::NameUnknown | OciErrorCode::ManifestUnknown) => {
                StatusCode::NOT_FOUND
            }
            _ => StatusCode::BAD_REQUEST,
        },
        _ => StatusCode::BAD_GATEWAY,
    };
    status_error(operation, image, status, &error.to_string())
}
