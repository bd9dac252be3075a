use prost::Message;

use super::*;
use crate::{TcAction, XdpAction};

fn load() -> Load {
    Load {
        source: Source::Image(Image {
            url: "r/x:1".into(),
            pull_policy: PullPolicy::IfNotPresent,
            credentials: Some(Credentials {
                username: "u".into(),
                password: "p".into(),
            }),
        }),
        programs: vec![LoadProgram {
            name: "f".into(),
            program_type: ProgramType::Tcx,
        }],
        global_data: BTreeMap::from([("G".into(), vec![1, 2])]),
        metadata: BTreeMap::from([("k".into(), "v".into())]),
        map_owner_id: None,
    }
}

fn place() -> Place {
    Place {
        iface: "e".into(),
        priority: 50,
        netns: Some("/n".into()),
    }
}

/// The bytes follow from the field numbers of upstream's contract, by hand.
#[test]
fn a_load_request_has_upstreams_field_numbers() {
    let bytes = v1::LoadRequest::try_from(&load()).unwrap().encode_to_vec();
    let expected = [
        &[0x0a, 0x11, 0x12, 0x0f][..],        // bytecode (1), image (2)
        b"\x0a\x05r/x:1",                     // url (1)
        b"\x10\x01",                          // image_pull_policy (2)
        b"\x1a\x01u\x22\x01p",                // username (3), password (4)
        b"\x2a\x06\x0a\x01k\x12\x01v",        // metadata (5)
        b"\x32\x07\x0a\x01G\x12\x02\x01\x02", // global_data (6)
        b"\x4a\x05\x0a\x01f\x10\x07",         // info (9): name (1), program_type (2) TCX
    ]
    .concat();
    assert_eq!(bytes, expected);
}

#[test]
fn a_load_request_needs_a_program() {
    let empty = Load {
        programs: vec![],
        ..load()
    };
    assert!(matches!(
        v1::LoadRequest::try_from(&empty),
        Err(Error::NoPrograms)
    ));
}

#[test]
fn fentry_carries_its_function() {
    let program = LoadProgram {
        name: "own".into(),
        program_type: ProgramType::Fentry("udp_sendmsg".into()),
    };
    let info = v1::LoadInfo::from(&program);
    assert_eq!(info.program_type(), v1::BpfmanProgramType::Fentry);
    let Some(v1::prog_specific_info::Info::FentryLoadInfo(fentry)) = info.info.unwrap().info else {
        panic!("not fentry");
    };
    assert_eq!(fentry.fn_name, "udp_sendmsg");
}

#[test]
fn attach_requests_have_upstreams_field_numbers() {
    let encode = |attach: &Attach| v1::AttachInfo::try_from(attach).unwrap().encode_to_vec();
    let proceed_on = vec![XdpAction::Pass, XdpAction::DispatcherReturn];
    assert_eq!(
        encode(&Attach::Xdp {
            place: place(),
            proceed_on
        }),
        b"\x0a\x0d\x08\x32\x12\x01e\x22\x02\x02\x1f\x2a\x02/n"
    );
    assert_eq!(
        encode(&Attach::Tc {
            place: place(),
            direction: Direction::Egress,
            proceed_on: vec![TcAction::Pipe],
        }),
        b"\x12\x14\x08\x32\x12\x01e\x22\x06egress\x2a\x01\x03\x32\x02/n"
    );
    assert_eq!(
        encode(&Attach::Tcx {
            place: place(),
            direction: Direction::Ingress
        }),
        b"\x32\x12\x08\x32\x12\x01e\x22\x07ingress\x2a\x02/n"
    );
    assert_eq!(
        encode(&Attach::Tracepoint("net/net_dev_queue".into())),
        b"\x1a\x13\x0a\x11net/net_dev_queue"
    );
    assert_eq!(encode(&Attach::Fentry), b"\x3a\x00");
}

#[test]
fn paths_must_be_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let netns = PathBuf::from(std::ffi::OsStr::from_bytes(b"/n\xff"));
    let attach = Attach::Tcx {
        place: Place {
            netns: Some(netns),
            ..place()
        },
        direction: Direction::Ingress,
    };
    assert!(matches!(
        v1::AttachInfo::try_from(&attach),
        Err(Error::PathNotUtf8(_))
    ));
}

#[test]
fn actions_have_names_and_codes_of_the_daemon() {
    for action in XdpAction::ALL {
        assert_eq!(action.name().parse::<XdpAction>().unwrap(), *action);
    }
    for action in TcAction::ALL {
        assert_eq!(action.name().parse::<TcAction>().unwrap(), *action);
    }
    let codes: Vec<i32> = TcAction::ALL.iter().map(|a| a.code()).collect();
    assert_eq!(codes, [-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 30]);
    let codes: Vec<i32> = XdpAction::ALL.iter().map(|a| a.code()).collect();
    assert_eq!(codes, [0, 1, 2, 3, 4, 31]);
    assert_eq!(
        "ok".parse::<XdpAction>().unwrap_err().to_string(),
        "unknown proceed-on action \"ok\" (known: aborted drop pass tx redirect dispatcher_return)"
    );
}

#[test]
fn answers_become_programs() {
    let kernel = v1::KernelProgramInfo {
        id: 9,
        map_ids: vec![1, 2],
        ..Default::default()
    };
    let info = v1::ProgramInfo {
        name: "dns_tcx".into(),
        bytecode: Some(v1::BytecodeLocation {
            location: Some(v1::bytecode_location::Location::Image(v1::BytecodeImage {
                url: "r/x:1".into(),
                image_pull_policy: 0,
                username: Some(String::new()),
                password: Some(String::new()),
            })),
        }),
        links: vec![4],
        ..Default::default()
    };
    let got = program(Some(info), Some(kernel.clone())).unwrap();
    assert_eq!((got.id, got.map_ids), (9, vec![1, 2]));
    let managed = got.managed.unwrap();
    assert_eq!(managed.map_pin_path, None);
    let image = Image {
        url: "r/x:1".into(),
        pull_policy: PullPolicy::Always,
        credentials: None,
    };
    assert_eq!(managed.source, Some(Source::Image(image)));

    assert_eq!(program(None, Some(kernel)).unwrap().managed, None);
    assert_eq!(program(None, None), None);
}

#[test]
fn only_programs_of_the_daemon_unless_asked_for() {
    let only = |filter: &Filter| v1::ListRequest::from(filter).bpfman_programs_only;
    assert_eq!(only(&Filter::default()), Some(true));
    assert_eq!(
        only(&Filter {
            include_foreign: true,
            ..Filter::default()
        }),
        Some(false)
    );
}

#[test]
fn passwords_stay_out_of_debug_output() {
    let text = format!("{:?}", load());
    assert!(
        text.contains("username: \"u\"") && !text.contains("\"p\""),
        "{text}"
    );
}
