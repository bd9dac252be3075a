//! Read-only globals of the object: what to capture.

use std::{fmt, str::FromStr};

use anyhow::anyhow;
use dns_trace_event::{
    DEFAULT_PORTS, PAYLOAD_MAX, PORTS_MAX, SELECT_ALL, SELECT_FAILURES, SELECT_RESPONSES,
};

/// Ports that carry DNS, unused slots 0 and last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports(pub(crate) [u16; PORTS_MAX]);

/// What the loader writes into the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `DNS_PORTS`.
    pub(crate) ports: [u16; PORTS_MAX],
    /// `DNS_SNAP_LEN`, in bytes.
    pub(crate) snap_len: u32,
    /// `DNS_SAMPLE`: one lookup in so many.
    pub(crate) sample: u32,
    /// `DNS_SELECT`.
    pub(crate) select: u32,
    /// `DNS_NETNS_COOKIE`; 0 makes the programs find it out for each message.
    pub(crate) netns_cookie: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ports: DEFAULT_PORTS,
            snap_len: PAYLOAD_MAX,
            sample: 1,
            select: SELECT_ALL.into(),
            netns_cookie: 0,
        }
    }
}

impl Default for Ports {
    fn default() -> Self {
        Self(DEFAULT_PORTS)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used: Vec<String> = self
            .0
            .iter()
            .filter(|p| **p != 0)
            .map(u16::to_string)
            .collect();
        f.write_str(&used.join(","))
    }
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut ports = Vec::new();
        for field in text.split(',') {
            let port: u16 = field
                .trim()
                .parse()
                .ok()
                .filter(|p| *p != 0)
                .ok_or_else(|| {
                    format!(
                        "{} is no port: give numbers from 1 to 65535, separated by commas",
                        field.escape_debug()
                    )
                })?;
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        if ports.len() > PORTS_MAX {
            return Err(format!(
                "{} ports are too many: at most {PORTS_MAX}",
                ports.len()
            ));
        }
        ports.resize(PORTS_MAX, 0);
        ports
            .try_into()
            .map(Self)
            .map_err(|_| "too many ports".to_owned())
    }
}

impl Settings {
    /// The ports as bytes in the machine's order.
    pub(crate) fn ports_bytes(&self) -> Vec<u8> {
        self.ports.iter().flat_map(|p| p.to_ne_bytes()).collect()
    }

    /// One line that tells two settings apart.
    pub(crate) fn fact(&self) -> String {
        let netns = match self.netns_cookie {
            0 => String::new(),
            cookie => format!(", network namespace {cookie}"),
        };
        let sample = match self.sample {
            1 => String::new(),
            rate => format!(", one lookup in {rate}"),
        };
        let select = match u8::try_from(self.select) {
            Ok(SELECT_RESPONSES) => ", responses only",
            Ok(SELECT_FAILURES) => ", failures only",
            _ => "",
        };
        format!(
            "ports {}, snap length {}{sample}{select}{netns}",
            Ports(self.ports),
            self.snap_len
        )
    }
}

/// Reads [`Settings::fact`].
impl FromStr for Settings {
    type Err = anyhow::Error;

    fn from_str(fact: &str) -> Result<Self, Self::Err> {
        let unknown = || anyhow!("cannot read the settings that load remembered: {fact:?}");
        let mut settings = Self::default();
        for part in fact.split(", ") {
            let number = |text: &str| text.parse::<u32>().map_err(|_| unknown());
            if let Some(ports) = part.strip_prefix("ports ") {
                settings.ports = ports.parse::<Ports>().map_err(|_| unknown())?.0;
            } else if let Some(text) = part.strip_prefix("snap length ") {
                settings.snap_len = number(text)?;
            } else if let Some(text) = part.strip_prefix("one lookup in ") {
                settings.sample = number(text)?;
            } else if let Some(text) = part.strip_prefix("network namespace ") {
                settings.netns_cookie = text.parse().map_err(|_| unknown())?;
            } else if part == "responses only" {
                settings.select = SELECT_RESPONSES.into();
            } else if part == "failures only" {
                settings.select = SELECT_FAILURES.into();
            } else {
                return Err(unknown());
            }
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_fill_their_slots() {
        assert_eq!("53".parse::<Ports>().unwrap().0, [53, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(
            "5353,53,5353".parse::<Ports>().unwrap().0,
            [5353, 53, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(
            "1,2,3,4,5,6,7,8".parse::<Ports>().unwrap().0,
            [1, 2, 3, 4, 5, 6, 7, 8]
        );
        assert_eq!(Ports::default().to_string().parse(), Ok(Ports::default()));
    }

    #[test]
    fn settings_come_back_from_their_fact() {
        let other = Settings {
            ports: [5353, 53, 0, 0, 0, 0, 0, 0],
            snap_len: 512,
            sample: 100,
            select: SELECT_FAILURES.into(),
            netns_cookie: u64::MAX,
        };
        let responses = Settings {
            select: SELECT_RESPONSES.into(),
            ..Settings::default()
        };
        for settings in [Settings::default(), other, responses] {
            assert_eq!(settings.fact().parse::<Settings>().unwrap(), settings);
        }
        for text in [
            "",
            "ports x",
            "ports 53, snap length",
            "ports 53, colour blue",
        ] {
            assert!(text.parse::<Settings>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for bad in [
            "",
            "0",
            "65536",
            "-1",
            "53,",
            "dns",
            "53 5353",
            "1,2,3,4,5,6,7,8,9",
        ] {
            assert!(bad.parse::<Ports>().is_err(), "{bad}");
        }
    }

    #[test]
    fn bytes_are_in_the_machines_order() {
        let settings = Settings {
            ports: Ports::default().0,
            ..Settings::default()
        };
        assert_eq!(settings.ports_bytes()[..2], 53u16.to_ne_bytes());
        assert_eq!(settings.ports_bytes().len(), 16);
    }
}
