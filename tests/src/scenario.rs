//! The list of scenarios: what each is called, how long it may take, and from which kernel on it
//! works.

use std::time::Duration;

use anyhow::Result;

use crate::scenarios;

/// A kernel version: major and minor.
pub type Version = (u32, u32);

/// What a scenario asks of the kernel. Two-sided: below the version something must be refused,
/// and the refusal is a test too.
pub enum Needs {
    /// Works on every kernel of the matrix.
    Any,
    /// Works from this version on.
    Since(Version, Below),
}

/// What is expected on kernels before the one that a scenario needs.
pub enum Below {
    /// This check of the refusal, instead of the scenario.
    Refusal(fn() -> Result<()>),
    /// Nothing, since another scenario checks the refusal; it is named here.
    SeenIn(&'static str),
}

/// A scenario.
pub struct Scenario {
    /// Its name in reports and filters.
    pub name: &'static str,
    /// How long it may take in an emulated machine.
    pub limit: Duration,
    /// Kernels on which it works.
    pub needs: Needs,
    /// The scenario itself.
    pub run: fn() -> Result<()>,
}

const fn scenario(name: &'static str, seconds: u64, run: fn() -> Result<()>) -> Scenario {
    Scenario {
        name,
        limit: Duration::from_secs(seconds),
        needs: Needs::Any,
        run,
    }
}

const fn since(version: Version, below: Below, scenario: Scenario) -> Scenario {
    Scenario {
        needs: Needs::Since(version, below),
        ..scenario
    }
}

/// TCX, commit e420bed02507.
const TCX: Version = (6, 6);
/// A program at the entry of a function that may ask for a socket's cookie, commit c5dbb89fc2ac.
pub(crate) const OWNERS: Version = (5, 12);
/// What an extension extends, told of its link, commit 441e8c66b23e.
const EXTENSIONS: Version = (5, 13);
/// A tracepoint program that stays attached without a process, commit b89fbfbb854c.
const TRACEPOINT: Version = (5, 15);
/// A reader without privilege, commit c8644cd0efe7.
const READING: Version = (5, 19);

/// A scenario with a reader without privilege; that it is refused is checked by `local_tc`.
const fn reads(name: &'static str, seconds: u64, run: fn() -> Result<()>) -> Scenario {
    since(
        READING,
        Below::SeenIn("local_tc"),
        scenario(name, seconds, run),
    )
}

/// Every scenario, in the order in which they run.
pub const ALL: &[Scenario] = &[
    scenario("boot", 10, scenarios::boot::sanity),
    scenario("parts_name_server", 30, scenarios::parts::name_server),
    scenario(
        "parts_registry_and_bpfman",
        60,
        scenarios::parts::registry_and_bpfman,
    ),
    since(
        OWNERS,
        Below::SeenIn("owners_clients"),
        scenario("loaders_libbpf", 60, scenarios::loaders::libbpf),
    ),
    since(
        OWNERS,
        Below::SeenIn("owners_clients"),
        scenario("loaders_cilium", 60, scenarios::loaders::cilium),
    ),
    scenario("loaders_damaged", 60, scenarios::loaders::damaged),
    scenario("packet_forms", 60, scenarios::packets::forms),
    scenario("verifier_work", 60, scenarios::verifier::work),
    scenario("btf_relocations", 120, scenarios::types::relocations),
    since(
        TRACEPOINT,
        Below::Refusal(scenarios::local::tracepoint_is_refused),
        scenario("btf_field_moved", 60, scenarios::types::moved),
    ),
    since(
        TRACEPOINT,
        Below::SeenIn("btf_field_moved"),
        scenario("btf_field_missing", 60, scenarios::types::missing),
    ),
    since(
        TCX,
        Below::Refusal(scenarios::local::tcx_is_refused),
        scenario("local_tcx", 90, scenarios::local::tcx),
    ),
    since(
        READING,
        Below::Refusal(scenarios::local::reading_is_refused),
        scenario("local_tc", 90, scenarios::local::tc),
    ),
    reads("local_xdp", 90, scenarios::local::xdp),
    reads("local_tracepoint", 90, scenarios::local::tracepoint),
    reads("hops_routed", 90, scenarios::hops::routed),
    reads("no_link_layer", 90, scenarios::no_link_layer::lookups),
    scenario("doctor_verdicts", 240, scenarios::doctor::verdicts),
    reads("rate_exact", 90, scenarios::rate::exact),
    reads("doorbell_race", 150, scenarios::doorbell::race),
    scenario("doorbell_rings_once", 60, scenarios::doorbell::rings_once),
    reads("left_out_by_choice", 90, scenarios::choice::leaves_out),
    reads("top_terminal", 90, scenarios::top::terminal),
    reads("top_stopped", 60, scenarios::top::stopped),
    reads("tcp_lookups", 90, scenarios::tcp::lookups),
    reads(
        "replay_equals_tshark",
        240,
        scenarios::replay::equals_tshark,
    ),
    since(
        TCX,
        Below::SeenIn("local_tcx"),
        scenario("pipeline_tcx", 120, scenarios::pipeline::tcx),
    ),
    reads("pipeline_tc", 120, scenarios::pipeline::tc),
    reads("pipeline_xdp", 120, scenarios::pipeline::xdp),
    reads("pipeline_tracepoint", 120, scenarios::pipeline::tracepoint),
    reads("by_hand_tc", 120, scenarios::by_hand::tc),
    since(
        TCX,
        Below::SeenIn("local_tcx"),
        scenario("by_hand_tcx", 120, scenarios::by_hand::tcx),
    ),
    reads("by_hand_two_rings", 120, scenarios::by_hand::two_rings),
    since(
        TCX,
        Below::SeenIn("local_tcx"),
        scenario("neighbours_tcx", 150, scenarios::neighbours::tcx),
    ),
    reads("neighbours_tc", 150, scenarios::neighbours::tc),
    reads("neighbours_xdp", 180, scenarios::neighbours::xdp),
    reads(
        "neighbours_dispatcher",
        240,
        scenarios::neighbours::dispatcher,
    ),
    reads(
        "neighbours_two_instances",
        150,
        scenarios::neighbours::two_instances,
    ),
    since(
        EXTENSIONS,
        Below::Refusal(scenarios::neighbours::eleventh_asks_the_daemon),
        scenario("neighbours_eleventh", 240, scenarios::neighbours::eleventh),
    ),
    since(
        TCX,
        Below::SeenIn("local_tcx"),
        scenario("upgrade_tcx", 180, scenarios::upgrade::tcx),
    ),
    reads("upgrade_tc", 180, scenarios::upgrade::tc),
    reads("upgrade_xdp", 180, scenarios::upgrade::xdp),
    reads("upgrade_failing", 180, scenarios::upgrade::failing),
    reads("upgrade_bpfman_tc", 240, scenarios::upgrade_bpfman::tc),
    reads("upgrade_bpfman_xdp", 240, scenarios::upgrade_bpfman::xdp),
    reads(
        "upgrade_bpfman_tracepoint",
        240,
        scenarios::upgrade_bpfman::tracepoint,
    ),
    reads(
        "upgrade_bpfman_failing",
        240,
        scenarios::upgrade_bpfman::failing,
    ),
    reads(
        "upgrade_bpfman_interrupted",
        240,
        scenarios::upgrade_bpfman::interrupted,
    ),
    since(
        READING,
        Below::Refusal(scenarios::owners::are_left_out),
        scenario("owners_clients", 120, scenarios::owners::clients),
    ),
    since(
        READING,
        Below::SeenIn("owners_clients"),
        scenario("owners_shared", 90, scenarios::owners::shared),
    ),
    since(
        READING,
        Below::SeenIn("owners_clients"),
        scenario("owners_container", 60, scenarios::owners::container),
    ),
    since(
        READING,
        Below::SeenIn("owners_clients"),
        scenario("owners_busy", 180, scenarios::owners::busy),
    ),
    since(
        READING,
        Below::SeenIn("owners_clients"),
        scenario("owners_side_by_side", 240, scenarios::askers::side_by_side),
    ),
    since(
        READING,
        Below::SeenIn("owners_clients"),
        scenario("owners_others", 60, scenarios::askers::others),
    ),
    reads("encrypted_bootstraps", 60, scenarios::encrypted::bootstraps),
    since(
        READING,
        Below::SeenIn("owners_clients"),
        scenario("owners_bpfman", 120, scenarios::owners::bpfman),
    ),
    reads("serve_prometheus", 150, scenarios::serve::prometheus),
    since(
        READING,
        Below::SeenIn("owners_clients"),
        scenario("serve_busy", 90, scenarios::rate::served),
    ),
    since(
        READING,
        Below::SeenIn("owners_clients"),
        scenario("record_real", 60, scenarios::record::real),
    ),
    reads("refusals_reader", 60, scenarios::refusals::reader),
    scenario("refusals_operator", 30, scenarios::refusals::operator),
    scenario("bad_input_local", 60, scenarios::bad_input::local),
    scenario("bad_input_daemon", 120, scenarios::bad_input::daemon),
    scenario(
        "bad_input_operator_closed_pipe",
        30,
        scenarios::bad_input::operator_closed_pipe,
    ),
    scenario(
        "bad_image_unlabelled",
        120,
        scenarios::bad_image::unlabelled,
    ),
    scenario("bad_image_newer_abi", 120, scenarios::bad_image::newer_abi),
    scenario(
        "bad_image_no_authorities",
        120,
        scenarios::bad_image::no_authorities,
    ),
    scenario("credentials_ours", 240, scenarios::credentials::ours),
    scenario("credentials_bpfman", 240, scenarios::credentials::bpfman),
    scenario(
        "interrupted_interface",
        240,
        scenarios::interrupted::interface_vanishes,
    ),
    scenario(
        "interrupted_daemon_pulling",
        180,
        scenarios::interrupted::daemon_dies_pulling,
    ),
    scenario(
        "interrupted_daemon_loaded",
        180,
        scenarios::interrupted::daemon_dies_loaded,
    ),
    scenario(
        "interrupted_locally",
        240,
        scenarios::interrupted::killed_locally,
    ),
    scenario(
        "interrupted_with_bpfman",
        240,
        scenarios::interrupted::killed_with_bpfman,
    ),
    reads("heartbeat", 180, scenarios::lifecycle::heartbeat),
    reads("loaded_anew", 120, scenarios::lifecycle::loaded_anew),
    reads("standstill_killed", 150, scenarios::standstill::killed),
    reads("standstill_stopped", 120, scenarios::standstill::stopped),
    reads("standstill_output", 150, scenarios::standstill::output),
    reads("memory_below_limit", 150, scenarios::memory::below),
    reads("memory_limit_reached", 120, scenarios::memory::reached),
    reads("soak", 180, scenarios::soak::soak),
    reads("follow_locally", 150, scenarios::follow::locally),
    reads("follow_xdp", 150, scenarios::follow::xdp),
    reads("follow_bpfman", 150, scenarios::follow::bpfman),
    reads("follow_held", 120, scenarios::follow_faults::held),
    reads("follow_full", 240, scenarios::follow_faults::full),
    reads("follow_upgrade", 150, scenarios::follow_faults::upgrade),
    reads("follow_overrun", 150, scenarios::follow_faults::overrun),
    reads(
        "faults_mount_and_group",
        120,
        scenarios::faults::mount_and_group,
    ),
    reads("faults_pins", 120, scenarios::faults::pins),
    scenario("full_disk_image", 90, scenarios::full_disk::image),
    reads("full_disk_reader", 90, scenarios::full_disk::reader),
    since(
        READING,
        Below::SeenIn("local_tc"),
        scenario(
            "bad_input_closed_pipe",
            60,
            scenarios::bad_input::closed_pipe,
        ),
    ),
];

/// The scenarios whose name contains `filter`.
#[must_use]
pub fn selected(filter: Option<&str>) -> Vec<&'static Scenario> {
    ALL.iter()
        .filter(|s| filter.is_none_or(|f| s.name.contains(f)))
        .collect()
}

impl Scenario {
    /// What to run on a kernel: the scenario, its refusal, or nothing.
    #[must_use]
    pub fn on(&self, kernel: Version) -> Option<fn() -> Result<()>> {
        match &self.needs {
            Needs::Since(version, Below::Refusal(check)) if kernel < *version => Some(*check),
            Needs::Since(version, Below::SeenIn(_)) if kernel < *version => None,
            Needs::Any | Needs::Since(..) => Some(self.run),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_references_exist() {
        for (index, scenario) in ALL.iter().enumerate() {
            assert!(
                ALL[index + 1..]
                    .iter()
                    .all(|other| other.name != scenario.name),
                "{}",
                scenario.name
            );
            if let Needs::Since(_, Below::SeenIn(other)) = &scenario.needs {
                assert!(ALL.iter().any(|s| s.name == *other), "{other}");
            }
        }
    }
}
