//! Filters of clsact queueing disciplines, by rtnetlink. These functions run a small runtime of
//! their own and act on the calling thread's network namespace: call them inside [`super::Netns::run`].

use std::future::Future;

use anyhow::{Context, Result};
use futures_util::{Stream, StreamExt, pin_mut};
use rtnetlink::{
    Handle,
    packet_route::tc::{TcAttribute, TcFilterBpfOption, TcHandle, TcMessage, TcOption},
};

use crate::hook::Direction;

/// One filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Lower runs first.
    pub(crate) priority: u16,
    /// Handle within the priority.
    pub(crate) handle: u32,
    /// Kind, such as `bpf` or `flower`.
    pub(crate) kind: String,
    /// Name of the program, for kind `bpf`.
    pub(crate) name: Option<String>,
    /// Kernel id of the program, for kind `bpf`.
    pub(crate) program: Option<u32>,
}

/// The filters of one direction, in the order in which the kernel runs them.
pub(crate) fn filters(ifindex: u32, direction: Direction) -> Result<Vec<Filter>> {
    with_handle(async |handle| {
        let mut filters = handle.traffic_filter(index(ifindex)?);
        let request = match direction {
            Direction::Ingress => filters.get().ingress(),
            Direction::Egress => filters.get().egress(),
        };
        let messages = collect(request.execute()).await?;
        Ok(messages.iter().filter_map(filter).collect())
    })
    .with_context(|| format!("cannot list the tc filters of the interface with index {ifindex}"))
}

/// Whether the interface has a clsact queueing discipline.
pub(crate) fn has_clsact(ifindex: u32) -> Result<bool> {
    has_qdisc(ifindex, "clsact")
}

/// Whether the interface has a queueing discipline of that kind.
pub(crate) fn has_qdisc(ifindex: u32, wanted_kind: &str) -> Result<bool> {
    with_handle(async |handle| {
        let messages = collect(handle.qdisc().get().index(index(ifindex)?).execute()).await?;
        let wanted = index(ifindex)?;
        Ok(messages
            .iter()
            .any(|m| m.header.index == wanted && kind(m) == Some(wanted_kind)))
    })
    .context("cannot list the queueing disciplines")
}

/// Removes the clsact queueing discipline, and with it all its filters.
pub(crate) fn remove_clsact(ifindex: u32) -> Result<()> {
    with_handle(async |handle| {
        let mut request = handle.qdisc().del(index(ifindex)?);
        let message = request.message_mut();
        message.header.handle = TcHandle {
            major: 0xffff,
            minor: 0,
        };
        // TC_H_CLSACT, which is TC_H_INGRESS.
        message.header.parent = TcHandle {
            major: 0xffff,
            minor: 0xfff1,
        };
        request.execute().await.map_err(Into::into)
    })
    .with_context(|| {
        format!("cannot remove the clsact qdisc of the interface with index {ifindex}")
    })
}

fn index(ifindex: u32) -> Result<i32> {
    i32::try_from(ifindex).context("interface index out of range")
}

pub(super) fn with_handle<T, F>(work: impl FnOnce(Handle) -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        let connection = tokio::spawn(connection);
        let result = work(handle).await;
        connection.abort();
        result
    })
}

/// The answers of a dump. A qdisc that is not there is an empty answer.
async fn collect(
    answers: impl Stream<Item = Result<TcMessage, rtnetlink::Error>>,
) -> Result<Vec<TcMessage>> {
    let mut messages = Vec::new();
    pin_mut!(answers);
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(message) => messages.push(message),
            Err(rtnetlink::Error::NetlinkError(error)) if is_absent(error.raw_code()) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(messages)
}

/// `EINVAL` and `ENOENT`: what kernels answer where the parent does not exist.
const fn is_absent(code: i32) -> bool {
    matches!(code, -22 | -2)
}

fn kind(message: &TcMessage) -> Option<&str> {
    message.attributes.iter().find_map(|a| match a {
        TcAttribute::Kind(kind) => Some(kind.as_str()),
        _ => None,
    })
}

/// The first message of each priority only announces it and has no handle: it is left out.
fn filter(message: &TcMessage) -> Option<Filter> {
    let handle =
        (u32::from(message.header.handle.major) << 16) | u32::from(message.header.handle.minor);
    if handle == 0 {
        return None;
    }
    let mut filter = Filter {
        priority: u16::try_from(message.header.info >> 16).unwrap_or(0),
        handle,
        kind: kind(message)?.to_owned(),
        name: None,
        program: None,
    };
    let options = message.attributes.iter().filter_map(|a| match a {
        TcAttribute::Options(options) => Some(options),
        _ => None,
    });
    for option in options.flatten() {
        match option {
            TcOption::Bpf(TcFilterBpfOption::ProgName(name)) => filter.name = Some(name.clone()),
            TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => filter.program = Some(*id),
            _ => {}
        }
    }
    Some(filter)
}
