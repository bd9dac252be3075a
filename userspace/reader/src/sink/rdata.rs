//! Record data in presentation format, for every sink that shows it.

use std::fmt;
use std::net::IpAddr;

use domain::base::iana::{Class, Rtype};
use domain::base::name::ParsedName;
use domain::base::zonefile_fmt::{DisplayKind, ZonefileFmt as _};
use domain::base::{ParsedRecord, UnknownRecordData};
use domain::rdata::ipseckey::IpseckeyGateway;
use domain::rdata::{A, Aaaa, AllRecordData};
use domain::utils::base64;

use crate::message::plain_class;

/// Shows the data of a record as zone files do; what the library cannot read in the form of
/// RFC 3597, section 5.
pub struct Data<'a>(pub ParsedRecord<'a, [u8]>);

impl fmt::Display for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(address) = resolved_ip(&self.0) {
            return fmt::Display::fmt(&address, f);
        }
        if let Ok(record) = self.0.to_any_record::<All<'_>>() {
            return data(record.data(), f);
        }
        match self.0.to_record::<UnknownRecordData<&[u8]>>() {
            Ok(Some(record)) => fmt::Display::fmt(record.data(), f),
            Ok(None) | Err(_) => Ok(()),
        }
    }
}

type All<'a> = AllRecordData<&'a [u8], ParsedName<&'a [u8]>>;

/// Zone file format. The library leaves out the gateway of an IPSECKEY that has none, where RFC 4025,
/// section 3.1, wants a dot.
fn data(data: &All<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if let AllRecordData::Ipseckey(key) = data
        && matches!(key.gateway(), IpseckeyGateway::None)
    {
        let (precedence, algorithm) = (key.precedence(), key.algorithm().to_int());
        write!(f, "{precedence} 0 {algorithm} . ")?;
        return base64::display(key.key(), f);
    }
    fmt::Display::fmt(&data.display_zonefile(DisplayKind::Simple), f)
}

/// The address of an A or AAAA record of class IN.
#[must_use]
pub fn resolved_ip(record: &ParsedRecord<'_, [u8]>) -> Option<IpAddr> {
    if plain_class(record.class()) != Class::IN {
        return None;
    }
    match record.rtype() {
        Rtype::A => {
            let record = record.to_record::<A>().ok()??;
            Some(IpAddr::V4(record.data().addr()))
        }
        Rtype::AAAA => {
            let record = record.to_record::<Aaaa>().ok()??;
            Some(IpAddr::V6(record.data().addr()))
        }
        _ => None,
    }
}
