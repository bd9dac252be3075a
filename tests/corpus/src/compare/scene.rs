//! What a difference is, and what an explanation may ask about it.

use std::fmt;

use serde_json::Value;

/// Something in which the two do not agree.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Field of the JSON line, or `line` if one side has no such lookup.
    pub field: &'static str,
    /// First packet of the lookup, from 1.
    pub frame: usize,
    /// What tshark says.
    pub tshark: String,
    /// What the reader says.
    pub ours: String,
    /// Type of the record that differs; else of the question.
    pub rtype: u16,
    /// tshark's message or record, as far as it matters to an explanation.
    pub(crate) scene: Scene,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field,
            frame,
            tshark,
            ours,
            rtype,
            scene,
        } = self;
        write!(
            f,
            "{field} at frame {frame}: tshark {tshark:.400?}, ours {ours:.300?} (type {rtype}, {scene})"
        )
    }
}

/// Facts about a lookup that explanations ask for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scene {
    /// tshark calls query or response malformed.
    pub(crate) tshark_malformed: bool,
    /// The reader does.
    pub(crate) ours_malformed: bool,
    /// An EDNS option contradicts itself, says the reader.
    pub(crate) bad_option: bool,
    /// Options of the query were not kept.
    pub(crate) options_left_out: bool,
    /// The reader's record did not hold all.
    pub(crate) cut: bool,
    /// The client asked several questions under this id.
    pub(crate) ambiguous: bool,
    /// tshark says that the message repeats another.
    pub(crate) repeats: bool,
    /// There is a response, as tshark sees it.
    pub(crate) response: bool,
    /// There are query and response, as tshark sees it.
    pub(crate) paired: bool,
    /// Questions that the header of the last message counts.
    pub(crate) questions: u16,
    pub(crate) protocol: String,
    pub(crate) tcp: bool,
    pub(crate) opcode: u16,
    /// Class of the question.
    pub(crate) class: u16,
    /// Octets of the first packet's payload.
    pub(crate) payload: usize,
    /// Where the message breaks, as the reader says.
    pub(crate) fault: String,
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (set, name) in [
            (self.tshark_malformed, "tshark-malformed"),
            (self.ours_malformed, "ours-malformed"),
            (self.bad_option, "bad-option"),
            (self.options_left_out, "left-out"),
            (self.cut, "cut"),
            (self.ambiguous, "ambiguous"),
            (self.repeats, "repeats"),
            (self.response, "response"),
            (self.paired, "paired"),
            (self.tcp, "tcp"),
        ] {
            if set {
                write!(f, "{name} ")?;
            }
        }
        let Self {
            questions,
            protocol,
            opcode,
            class,
            payload,
            fault,
            ..
        } = self;
        write!(
            f,
            "{protocol} questions {questions} opcode {opcode} class {class} octets {payload} {fault}"
        )
    }
}

/// What the reader says of where a message breaks.
pub(super) fn fault(line: &Value) -> String {
    let fault = &line["dns_trace"]["malformed"];
    let reason = fault["reason"].as_str().unwrap_or_default();
    format!("{}: {reason}", fault["section"].as_str().unwrap_or("-"))
}

/// Whether the reader calls an option malformed, or cannot take them apart.
pub(super) fn has_bad_option(edns: &Value) -> bool {
    ["query", "response"].iter().any(|side| {
        let side = &edns[side];
        let options = side["options"].as_array();
        let malformed = options.is_some_and(|list| list.iter().any(|o| o["malformed"] == true));
        malformed || side.get("options_broken").is_some()
    })
}
