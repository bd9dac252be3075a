//! A command line of its own, and files for it.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::fs;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use dns_trace_options::parse;

#[derive(Debug, Parser)]
#[command(name = "tool", version)]
struct Cli {
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Watch(Watch),
    #[command(subcommand)]
    Image(Image),
}

#[derive(Debug, Subcommand)]
enum Image {
    Push {
        reference: String,
        #[arg(long)]
        plain: bool,
    },
}

#[derive(Debug, Args)]
struct Watch {
    #[arg(long, short)]
    count: Option<u64>,
    #[arg(long, required = true)]
    interval: String,
    #[arg(long)]
    name: Vec<String>,
    #[arg(long, value_delimiter = ',')]
    ports: Vec<u16>,
    #[arg(long, conflicts_with = "count")]
    failures: bool,
    #[arg(long, value_parser = ["table", "json"], default_value = "table")]
    output: String,
    #[arg(long, hide = true)]
    root: Option<PathBuf>,
    words: Vec<String>,
}

/// Parses a command line with a file.
fn with(text: &str, args: &[&str]) -> Result<Cli, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tool.toml");
    fs::write(&path, text).unwrap();
    let head = ["tool", "--config", path.to_str().unwrap()];
    let args = head.iter().chain(args).map(|arg| (*arg).into());
    parse(args).map_err(|error| {
        assert_eq!(error.exit_code(), 2, "{error}");
        error.to_string().replace(path.to_str().unwrap(), "FILE")
    })
}

fn watch(text: &str, args: &[&str]) -> Watch {
    match with(text, args).unwrap().command {
        Command::Watch(watch) => watch,
        Command::Image(_) => unreachable!(),
    }
}

const FILE: &str = r#"
[watch]
count = 0x10
interval = "2s"
name = ["a.example", "b.example"]
ports = [53, 5353]
output = "json"

[image.push]
plain = true
"#;

#[test]
fn the_file_gives_options() {
    let watch = watch(FILE, &["watch"]);
    assert_eq!(watch.count, Some(16));
    assert_eq!(watch.interval, "2s");
    assert_eq!(watch.name, ["a.example", "b.example"]);
    assert_eq!(watch.ports, [53, 5353]);
    assert_eq!((watch.output.as_str(), watch.failures), ("json", false));
}

#[test]
fn the_command_line_wins() {
    let args = ["watch", "-c", "3", "--name=c.example", "--output", "table"];
    let watch = watch(FILE, &args);
    assert_eq!(watch.count, Some(3));
    assert_eq!(watch.name, ["c.example"]);
    assert_eq!(watch.output, "table");
    assert_eq!(watch.interval, "2s");
}

#[test]
fn a_command_below_another_has_its_section() {
    match with(FILE, &["image", "push", "name"]).unwrap().command {
        Command::Image(Image::Push { reference, plain }) => {
            assert_eq!((reference.as_str(), plain), ("name", true));
        }
        Command::Watch(_) => unreachable!(),
    }
}

#[test]
fn options_stay_before_a_bare_double_dash() {
    let watch = watch(FILE, &["watch", "--", "--count"]);
    assert_eq!(watch.words, ["--count"]);
    assert_eq!(watch.count, Some(16));
}

#[test]
fn a_switch_may_be_off_in_the_file() {
    let watch = watch("[watch]\ninterval='1s'\nfailures = false", &["watch"]);
    assert!(!watch.failures);
}

#[test]
fn clap_checks_the_options_of_the_file_as_all_others() {
    let error = with("[watch]\ninterval='1s'\nfailures = true", &["watch", "-c1"]).unwrap_err();
    assert!(
        error.contains("'--count <COUNT>' cannot be used with"),
        "{error}"
    );
    let error = with("[watch]\ncount = 1", &["watch"]).unwrap_err();
    assert!(error.contains("--interval <INTERVAL>"), "{error}");
}

#[test]
fn help_and_faulty_arguments_come_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none");
    let config = format!("--config={}", path.display());
    let error = parse::<Cli>(["tool".into(), config.into(), "--version".into()]).unwrap_err();
    assert_eq!(error.exit_code(), 0);
    let error = with(FILE, &["watch", "--unknown"]).unwrap_err();
    assert!(error.contains("unexpected argument '--unknown'"), "{error}");
    let error = with(FILE, &["watch", "--count", "x"]).unwrap_err();
    assert!(
        error.contains("invalid value 'x' for '--count <COUNT>'"),
        "{error}"
    );
}

#[test]
fn errors_name_the_file_the_line_and_what_is_known() {
    let known = "count, interval, name, ports, failures, output";
    for (text, wanted) in [
        (
            "[watch]\n\nname_ = 'a'",
            format!("FILE:3: unknown option name_ in [watch]; known are: {known}"),
        ),
        (
            "[watch]\nconfig = 'a'",
            format!("FILE:2: unknown option config in [watch]; known are: {known}"),
        ),
        (
            "[watch]\nwords = ['a']",
            format!("FILE:2: unknown option words in [watch]; known are: {known}"),
        ),
        (
            "\n[look]\n",
            "FILE:2: unknown command look; known are: watch, image".to_owned(),
        ),
        (
            "count = 1",
            "FILE:1: unknown command count; known are: watch, image".to_owned(),
        ),
        (
            "[image]\nplain = true",
            "FILE:2: unknown command plain; known are: push".to_owned(),
        ),
        (
            "watch = 3",
            "FILE:1: watch is a command: write [watch]".to_owned(),
        ),
        (
            "image.push = 3",
            "FILE:1: push is a command: write [image.push]".to_owned(),
        ),
        (
            "[watch]\nfailures = 'yes'",
            "FILE:2: watch.failures wants true or false, not a value of type string".to_owned(),
        ),
        (
            "[watch]\ncount = true",
            "FILE:2: watch.count wants a string or a number, not a value of type boolean"
                .to_owned(),
        ),
        (
            "[watch]\ncount = [1]",
            "FILE:2: watch.count wants a string or a number, not a value of type array".to_owned(),
        ),
        (
            "[watch]\nname = [true]",
            "FILE:2: watch.name wants strings or numbers, not a value of type boolean".to_owned(),
        ),
        (
            "[watch]\ncount = 'x'",
            "FILE:2: invalid value 'x' for '--count <COUNT>': invalid digit found in string"
                .to_owned(),
        ),
        (
            "[watch]\noutput = 'xml'",
            "FILE:2: invalid value 'xml' for '--output <OUTPUT>' [possible values: table, json]"
                .to_owned(),
        ),
        (
            "[watch]\nports = [53, 70000]",
            "FILE:2: invalid value '70000' for '--ports <PORTS>': 70000 is not in 0..=65535"
                .to_owned(),
        ),
        (
            "[watch]\ncount = 1\ncount = 2",
            "FILE:3: duplicate key".to_owned(),
        ),
        (
            "[watch\n",
            "FILE:1: unclosed table, expected `]`".to_owned(),
        ),
    ] {
        // Of a section for another command as well.
        for args in [&["watch", "--interval=1s"][..], &["image", "push", "name"]] {
            let error = with(text, args).unwrap_err();
            assert_eq!(error, format!("error: {wanted}\n"));
        }
    }
}

#[test]
fn hidden_options_are_taken_and_not_named() {
    let watch = watch("[watch]\ninterval='1s'\nroot = '/r'", &["watch"]);
    assert_eq!(watch.root, Some("/r".into()));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    for (path, why) in [
        ("/nowhere/tool.toml", "No such file"),
        ("/dev", "Is a directory"),
    ] {
        let args = ["tool", "--config", path, "watch"].map(Into::into);
        let error = parse::<Cli>(args).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("error: cannot read {path}: {why}")),
            "{error}"
        );
    }
    let big = "#".repeat((1 << 20) + 1);
    let error = with(&big, &["watch"]).unwrap_err();
    assert_eq!(error, "error: cannot read FILE: it has more than 1 MiB\n");
}
