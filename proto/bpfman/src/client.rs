//! The calls.

use std::{
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::{
    Attach, Error, Filter, Image, Load, Program, Source, convert, error::Context, v1,
    v1::bpfman_client::BpfmanClient,
};

/// Where the daemon listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/bpfman-sock/bpfman.sock";

/// Load and pull: the daemon fetches an image, and may wait for its database and for signatures.
const PULL_LIMIT: Duration = Duration::from_secs(300);
/// Everything else. The daemon waits up to 11 s for its database alone.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Client of one daemon.
///
/// Every call opens a connection of its own: with systemd's socket activation `bpfman-rpc` ends 15 s
/// after its start and comes back with the next connection, so that one kept open would break.
///
/// A call that fails with [`Error::Died`] or [`Error::TimedOut`] may have been carried out all the
/// same: look with [`Client::list`].
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the daemon at `socket`. Nothing is sent yet.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
        }
    }

    /// Path of the socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Checks that something listens at the socket and lets this user in.
    ///
    /// # Errors
    /// [`Error::NotRunning`], [`Error::PermissionDenied`].
    pub async fn probe(&self) -> Result<(), Error> {
        let context = self.context("reach the daemon".to_owned());
        UnixStream::connect(&self.socket)
            .await
            .map(drop)
            .map_err(|e| context.connect(e))
    }

    /// Loads programs of one object, in the kernel when this returns, attached to nothing. The
    /// answer is in the order of [`Load::programs`]. Waits up to 5 minutes.
    ///
    /// # Errors
    /// All of [`Error`]; nothing stays loaded after [`Error::Refused`].
    pub async fn load(&self, load: &Load) -> Result<Vec<Program>, Error> {
        let request = v1::LoadRequest::try_from(load)?;
        let context = self.context(format!("load {}", source_name(&load.source)));
        let answer = self
            .call(context.clone(), PULL_LIMIT, async |mut client| {
                client.load(request).await
            })
            .await?;
        answer
            .programs
            .into_iter()
            .map(|p| convert::program(p.info, p.kernel_info))
            .collect::<Option<Vec<_>>>()
            .filter(|programs| programs.len() == load.programs.len())
            .ok_or_else(|| context.incomplete("a program that was asked for"))
    }

    /// Unloads a program by its kernel id, with its links; its maps go with the last program that
    /// uses them.
    ///
    /// # Errors
    /// As [`Client::list`]; [`Error::Refused`] also for a program that the daemon did not load.
    pub async fn unload(&self, id: u32) -> Result<(), Error> {
        let context = self.context(format!("unload program {id}"));
        let request = v1::UnloadRequest { id };
        self.call(context, CALL_LIMIT, async |mut client| {
            client.unload(request).await
        })
        .await
        .map(drop)
    }

    /// Attaches a loaded program, by its kernel id; gives the id of the link.
    ///
    /// # Errors
    /// All of [`Error`].
    pub async fn attach(&self, id: u32, attach: &Attach) -> Result<u32, Error> {
        let request = v1::AttachRequest {
            id,
            attach: Some(attach.try_into()?),
        };
        let context = self.context(format!("attach program {id} to {}", attach_name(attach)));
        self.call(context, CALL_LIMIT, async |mut client| {
            client.attach(request).await
        })
        .await
        .map(|answer| answer.link_id)
    }

    /// Detaches a link, by the id that [`Client::attach`] gave.
    ///
    /// # Errors
    /// As [`Client::list`]; [`Error::Refused`] also for a link that does not exist.
    pub async fn detach(&self, link_id: u32) -> Result<(), Error> {
        let context = self.context(format!("detach link {link_id}"));
        let request = v1::DetachRequest { link_id };
        self.call(context, CALL_LIMIT, async |mut client| {
            client.detach(request).await
        })
        .await
        .map(drop)
    }

    /// The program with that kernel id, whoever loaded it.
    ///
    /// # Errors
    /// As [`Client::list`]; [`Error::Refused`] also where there is no such program.
    pub async fn get(&self, id: u32) -> Result<Program, Error> {
        let context = self.context(format!("look up program {id}"));
        let request = v1::GetRequest { id };
        let answer = self
            .call(context.clone(), CALL_LIMIT, async |mut client| {
                client.get(request).await
            })
            .await?;
        convert::program(answer.info, answer.kernel_info)
            .ok_or_else(|| context.incomplete("the kernel's description of the program"))
    }

    /// The programs that match the filter, in no particular order.
    ///
    /// # Errors
    /// [`Error::NotRunning`], [`Error::PermissionDenied`], [`Error::Died`], [`Error::TimedOut`],
    /// [`Error::Refused`].
    pub async fn list(&self, filter: &Filter) -> Result<Vec<Program>, Error> {
        let context = self.context("list programs".to_owned());
        let request = v1::ListRequest::from(filter);
        let answer = self
            .call(context, CALL_LIMIT, async |mut client| {
                client.list(request).await
            })
            .await?;
        // A program may vanish between the daemon's two looks: it then has no kernel half.
        Ok(answer
            .results
            .into_iter()
            .filter_map(|r| convert::program(r.info, r.kernel_info))
            .collect())
    }

    /// Makes the daemon pull an image and keep it. Waits up to 5 minutes.
    ///
    /// # Errors
    /// As [`Client::list`].
    pub async fn pull(&self, image: &Image) -> Result<(), Error> {
        let context = self.context(format!("pull {}", image.url));
        let request = v1::PullBytecodeRequest {
            image: Some(image.into()),
        };
        self.call(context, PULL_LIMIT, async |mut client| {
            client.pull_bytecode(request).await
        })
        .await
        .map(drop)
    }

    fn context(&self, operation: String) -> Context {
        Context {
            operation,
            socket: self.socket.clone(),
        }
    }

    /// Connects, calls and names what went wrong, all within `limit`.
    async fn call<T, F>(
        &self,
        context: Context,
        limit: Duration,
        call: impl FnOnce(BpfmanClient<Channel>) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let work = async {
            let channel = self.connect(&context).await?;
            let answer = call(BpfmanClient::new(channel)).await;
            answer
                .map(tonic::Response::into_inner)
                .map_err(|s| context.clone().status(&s))
        };
        tokio::time::timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(context.clone().timed_out(limit)))
    }

    async fn connect(&self, context: &Context) -> Result<Channel, Error> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|e| context.clone().connect(e))?;
        // The stream is handed over once; a second attempt to connect is one too many.
        let mut stream = Some(TokioIo::new(stream));
        let connector = tower::service_fn(move |_: Uri| {
            std::future::ready(
                stream
                    .take()
                    .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected)),
            )
        });
        // The authority is never looked up; HTTP/2 wants one.
        Endpoint::from_static("http://localhost")
            .connect_with_connector(connector)
            .await
            .map_err(|e| context.clone().broken(&e))
    }
}

/// What a request to load is about, in words. Control characters do not reach a terminal.
fn source_name(source: &Source) -> String {
    match source {
        Source::Image(image) => image.url.escape_debug().to_string(),
        Source::File(path) => path.display().to_string().escape_debug().to_string(),
    }
}

/// What a request to attach is about, in words.
fn attach_name(attach: &Attach) -> String {
    let (hook, place) = match attach {
        Attach::Xdp { place, .. } => ("xdp", place),
        Attach::Tc { place, .. } => ("tc", place),
        Attach::Tcx { place, .. } => ("tcx", place),
        Attach::Tracepoint(name) => return format!("tracepoint {}", name.escape_debug()),
        Attach::Fentry => return "its function".to_owned(),
    };
    let iface = place.iface.escape_debug();
    match &place.netns {
        None => format!("{hook} of {iface}"),
        Some(netns) => {
            format!(
                "{hook} of {iface} in {}",
                netns.display().to_string().escape_debug()
            )
        }
    }
}
