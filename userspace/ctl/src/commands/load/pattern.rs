//! Interfaces as the operator names them: by name, or by a pattern as a shell has it.

use std::{fmt, str::FromStr};

use wildmatch::WildMatch;

/// Longest name of an interface: `IFNAMSIZ` of linux/if.h, without the end.
const NAME_MAX: usize = 15;

/// A name in which `*` stands for any characters and `?` for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(String);

impl Pattern {
    /// Whether it may mean several interfaces.
    pub(crate) fn is_open(&self) -> bool {
        self.0.contains(['*', '?'])
    }

    /// Whether it means the interface of that name.
    pub(crate) fn matches(&self, name: &str) -> bool {
        WildMatch::new(&self.0).matches(name)
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shortest = text.bytes().filter(|byte| *byte != b'*').count();
        if text.is_empty()
            || shortest > NAME_MAX
            || text.contains(['/', '\0'])
            || text.contains(char::is_whitespace)
        {
            return Err(format!(
                "{} is no name of an interface",
                text.escape_debug()
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, open, yes, no) in [
            ("eth0", false, "eth0", "eth01"),
            ("veth*", true, "veth12ab", "eth0"),
            ("veth*", true, "veth", "xveth"),
            ("eth?", true, "eth1", "eth"),
            ("eth?", true, "eth9", "eth10"),
            ("*", true, "lo", ""),
            ("cali*-?", true, "calib2-1", "calib2-"),
        ] {
            let pattern: Pattern = pattern.parse().unwrap();
            assert_eq!(pattern.is_open(), open, "{pattern}");
            assert!(pattern.matches(yes), "{pattern} {yes}");
            assert!(no.is_empty() || !pattern.matches(no), "{pattern} {no}");
        }
    }

    #[test]
    fn stars_take_no_room_in_a_name() {
        assert!("*abcdefghijklmno*".parse::<Pattern>().is_ok());
        assert!("abcdefghijklmnop".parse::<Pattern>().is_err());
    }
}
