//! Interfaces of a network namespace: which are there, and which come and go.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, anyhow};
use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use rtnetlink::{
    Handle, MulticastGroup,
    packet_core::{NetlinkMessage, NetlinkPayload},
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        link::{LinkAttribute, LinkMessage},
    },
};
use tokio::task::JoinHandle;

use super::{Netns, tc::with_handle};

/// Names by index.
pub(crate) type Interfaces = BTreeMap<u32, String>;

/// The interfaces that are there.
pub(crate) fn interfaces(ns: &Netns) -> Result<Interfaces> {
    ns.run(|| {
        with_handle(async |handle| {
            let links: Vec<LinkMessage> = handle.link().get().execute().try_collect().await?;
            Ok(links.iter().filter_map(named).collect())
        })
    })
    .with_context(|| format!("cannot list the interfaces of {ns}"))
}

fn named(link: &LinkMessage) -> Option<(u32, String)> {
    let name = link.attributes.iter().find_map(|a| match a {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })?;
    Some((link.header.index, name))
}

/// What has happened since one last looked.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Interfaces that are new, or of which something has changed, with their names at that time.
    pub(crate) there: Interfaces,
    /// Interfaces that have gone. Another one may have the index by now, or the same one be back.
    pub(crate) gone: BTreeSet<u32>,
    /// More has happened than the kernel has kept: only a look at everything tells.
    pub(crate) lost: bool,
}

impl News {
    fn add(&mut self, message: NetlinkMessage<RouteNetlinkMessage>) {
        match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) if is_plain(&link) => {
                self.there.extend(named(&link));
            }
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) if is_plain(&link) => {
                self.gone.insert(link.header.index);
            }
            NetlinkPayload::Overrun(_) => self.lost = true,
            _ => {}
        }
    }
}

/// Bridges tell of their ports by the same messages: a port that leaves is not gone.
fn is_plain(link: &LinkMessage) -> bool {
    link.header.interface_family == AddressFamily::Unspec
}

/// What the kernel tells of the interfaces of a namespace (`RTNLGRP_LINK`), while this value lives.
pub(crate) struct Changes {
    messages: BoxStream<'static, NetlinkMessage<RouteNetlinkMessage>>,
    connection: JoinHandle<()>,
    /// Without one the connection takes itself for unused.
    _handle: Handle,
}

impl Changes {
    /// Listens from now on.
    pub(crate) fn of(ns: &Netns) -> Result<Self> {
        let runtime = tokio::runtime::Handle::current();
        let listen = || {
            let _inside = runtime.enter();
            Ok(rtnetlink::new_multicast_connection(&[
                MulticastGroup::Link,
            ])?)
        };
        let (connection, handle, messages) = ns
            .run(listen)
            .with_context(|| format!("cannot listen for changes of the interfaces of {ns}"))?;
        Ok(Self {
            messages: messages.map(|(message, _)| message).boxed(),
            connection: tokio::spawn(connection),
            _handle: handle,
        })
    }

    /// Waits for the next change; all that has happened by then.
    pub(crate) async fn next(&mut self) -> Result<News> {
        let mut news = News::default();
        let mut message = self.messages.next().await;
        loop {
            news.add(message.ok_or_else(|| anyhow!("the kernel ended the netlink connection"))?);
            // What has not come yet makes news of its own.
            let next = futures_util::FutureExt::now_or_never(self.messages.next());
            match next {
                Some(next) => message = next,
                None => return Ok(news),
            }
        }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_core::{NetlinkHeader, NetlinkPayload};

    use super::*;

    fn message(
        payload: NetlinkPayload<RouteNetlinkMessage>,
    ) -> NetlinkMessage<RouteNetlinkMessage> {
        NetlinkMessage::new(NetlinkHeader::default(), payload)
    }

    fn link(family: AddressFamily, index: u32, name: &str) -> LinkMessage {
        let mut link = LinkMessage::default();
        link.header.interface_family = family;
        link.header.index = index;
        link.attributes.push(LinkAttribute::IfName(name.to_owned()));
        link
    }

    #[test]
    fn the_loopback_device_is_there() {
        let all = interfaces(&Netns::open(None).unwrap()).unwrap();
        assert_eq!(all.get(&1).map(String::as_str), Some("lo"));
    }

    #[test]
    fn a_port_that_leaves_its_bridge_is_not_gone() {
        let mut news = News::default();
        for family in [AddressFamily::Bridge, AddressFamily::Unspec] {
            let gone = RouteNetlinkMessage::DelLink(link(family, 7, "port0"));
            news.add(message(gone.into()));
            assert_eq!(news.gone.contains(&7), family == AddressFamily::Unspec);
        }
        let new = RouteNetlinkMessage::NewLink(link(AddressFamily::Unspec, 8, "veth1"));
        news.add(message(new.into()));
        assert_eq!(news.there, [(8, "veth1".to_owned())].into());
    }

    #[test]
    fn what_the_kernel_has_dropped_is_known_to_be_lost() {
        let mut news = News::default();
        news.add(message(NetlinkPayload::Overrun(Vec::new())));
        assert!(news.lost);
    }
}
