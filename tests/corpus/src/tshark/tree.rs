//! The tree of fields. Elements `packet`, `proto` and `field` are all the same here.

use anyhow::{Context as _, Result};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// One element.
#[derive(Clone, Debug, Default)]
pub struct Field {
    /// Its name, such as `dns.id`; empty for what only groups others.
    pub name: String,
    /// Its value as tshark shows it.
    pub show: String,
    /// The octets of which it was made, in hexadecimal; empty if there are none.
    pub value: String,
    /// What is inside.
    pub children: Vec<Self>,
}

impl Field {
    /// The first field of a name, at any depth.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Self> {
        let inside = |child: &'_ Self| child.name == name;
        self.children.iter().find_map(|child| {
            if inside(child) {
                Some(child)
            } else {
                child.find(name)
            }
        })
    }

    /// All fields of a name, at any depth, in order.
    #[must_use]
    pub fn all<'a>(fields: &'a [Self], name: &str) -> Vec<&'a Self> {
        let mut found = Vec::new();
        for field in fields {
            if field.name == name {
                found.push(field);
            }
            found.extend(Self::all(&field.children, name));
        }
        found
    }

    /// The number that it shows, decimal or hexadecimal; 0 if it is none.
    #[must_use]
    pub fn number(&self) -> u64 {
        let number = match self.show.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => self.show.parse(),
        };
        number.unwrap_or(0)
    }

    /// The name that it shows, the root as `.`.
    #[must_use]
    pub fn name(&self) -> String {
        if self.show == "<Root>" {
            ".".to_owned()
        } else {
            self.show.clone()
        }
    }

    /// The octets of which it was made.
    #[must_use]
    pub fn octets(&self) -> Vec<u8> {
        let digits = self.value.as_bytes().chunks(2);
        digits
            .filter_map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
            .collect()
    }
}

/// The packets of a document.
///
/// # Errors
/// If it is not well formed.
pub(super) fn packets(text: &str) -> Result<Vec<Field>> {
    let mut reader = Reader::from_str(text);
    let mut packets = Vec::new();
    let mut open: Vec<Field> = Vec::new();
    loop {
        let event = reader.read_event().context("no PDML")?;
        let closed = match event {
            Event::Start(start) => {
                if start.name().as_ref() != "pdml" {
                    open.push(field(&start)?);
                }
                continue;
            }
            Event::Empty(start) => Some(field(&start)?),
            Event::End(_) => open.pop(),
            Event::Eof => return Ok(packets),
            _ => continue,
        };
        match (closed, open.last_mut()) {
            (Some(closed), Some(parent)) => parent.children.push(closed),
            (Some(closed), None) => packets.push(closed),
            (None, _) => {}
        }
    }
}

fn field(start: &BytesStart<'_>) -> Result<Field> {
    let mut field = Field::default();
    for attribute in start.attributes() {
        let attribute = attribute?;
        let into = match attribute.key.as_ref() {
            "name" => &mut field.name,
            "show" => &mut field.show,
            "value" => &mut field.value,
            _ => continue,
        };
        *into = attribute
            .normalized_value(quick_xml::XmlVersion::Implicit1_0)
            .context("an attribute that is no text")?
            .into_owned();
    }
    Ok(field)
}
