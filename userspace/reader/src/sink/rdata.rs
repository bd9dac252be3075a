//! Record data in presentation format, for every sink that shows it.

use std::fmt;

use domain::base::UnknownRecordData;
use domain::base::name::ParsedName;
use domain::base::zonefile_fmt::{DisplayKind, ZonefileFmt as _};
use domain::rdata::AllRecordData;
use domain::rdata::ipseckey::IpseckeyGateway;
use domain::utils::base64;

use crate::message::Record;

/// Shows the data of a record as zone files do; what the library cannot read in the form of
/// RFC 3597, section 5.
pub struct Data<'a>(pub Record<'a>);

impl fmt::Display for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(address) = self.0.address() {
            return fmt::Display::fmt(&address, f);
        }
        let Some(record) = self.0.parsed() else {
            return Ok(());
        };
        if let Ok(record) = record.to_any_record::<All<'_>>() {
            return data(record.data(), f);
        }
        match record.to_record::<UnknownRecordData<&[u8]>>() {
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
