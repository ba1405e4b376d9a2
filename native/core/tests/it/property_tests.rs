//! The properties, for generated input. The seed is fixed, so that a run fails for what was changed and for nothing else;
//! `PROPTEST_CASES=100000 PROPTEST_RNG_SEED=$RANDOM cargo test -p shotput-core property_tests` looks further.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Map, Value, json};
use shotput_core::attachments::hash::hash_bytes;
use shotput_core::attachments::manifest::{Entry, Manifest};
use shotput_core::config::{Config, Document};
use shotput_core::openjd::sessions::PathMappingRule;

use crate::properties;

fn config() -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(20_250_401);
    }
    config
}

/// Texts made of the pieces that mean something to a reader, and of some that mean nothing.
fn pieces(alphabet: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(alphabet), 0..40).prop_map(|pieces| pieces.concat())
}

const INI: &[&str] = &[
    "[", "]", "=", ":", "#", ";", "\n", "\n\n", " ", "\t", "\r\n", "\r", "a", "Key", "%", "%(key)s", "\u{feff}", "é",
    "\u{85}",
];
const PATHS: &[&str] = &["/", "\\", "..", ".", "a", "B", "c d", "C:", "con", "é", "\u{1f3ac}", ":", "\0", "//", "~"];

/// Lines that `configparser` gives back as they are: not empty, no comments, no white space around them.
fn line() -> impl Strategy<Value = String> {
    "[a-z0-9/=:%(){}é\\[\\]][ -~é]{0,10}[a-z0-9/=:%é\\]]"
}

fn file_name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_.é 日🎬'\"{}-]{1,12}".prop_filter("is a name", |name| name != "." && name != "..")
}

/// A job template with every kind of member; [`broken_template`] puts something else in one place of it.
fn whole_template() -> Value {
    json!({
        "specificationVersion": "jobtemplate-2023-09",
        "extensions": ["TASK_CHUNKING"],
        "name": "Shot {{Param.Mode}}",
        "parameterDefinitions": [
            {"name": "Scene", "type": "PATH", "objectType": "FILE", "dataFlow": "IN", "default": "a.blend"},
            {"name": "Quality", "type": "FLOAT", "default": 0.5, "minValue": 0, "maxValue": 1},
            {"name": "Mode", "type": "STRING", "default": "fast", "allowedValues": ["fast", "best"]},
        ],
        "jobEnvironments": [{"name": "Host", "variables": {"A": "b"}}],
        "steps": [{
            "name": "Render",
            "parameterSpace": {
                "taskParameterDefinitions": [{
                    "name": "Frame", "type": "CHUNK[INT]", "range": "1-10",
                    "chunks": {"defaultTaskCount": 4, "rangeConstraint": "CONTIGUOUS"},
                }],
            },
            "hostRequirements": {"amounts": [{"name": "amount.worker.vcpu", "min": 1}]},
            "script": {
                "embeddedFiles": [{"name": "Run", "type": "TEXT", "data": "echo {{Task.Param.Frame}}"}],
                "actions": {"onRun": {"command": "sh", "args": ["{{Task.File.Run}}"], "timeout": 60}},
            },
        }],
    })
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-zA-Z0-9{}. :-]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-zA-Z]{1,8}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn places(value: &Value, here: String, found: &mut Vec<String>) {
    found.push(here.clone());
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| places(item, format!("{here}/{index}"), found));
        }
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| places(member, format!("{here}/{name}"), found));
        }
        _ => {}
    }
}

fn broken_template() -> impl Strategy<Value = String> {
    let mut pointers = Vec::new();
    places(&whole_template(), String::new(), &mut pointers);
    (prop::sample::select(pointers), any_value()).prop_map(|(pointer, value)| {
        let mut template = whole_template();
        *template.pointer_mut(&pointer).unwrap() = value;
        template.to_string()
    })
}

#[test]
fn the_whole_template_is_valid() {
    use shotput_core::openjd::template::{TemplateKind, check};
    let findings = check(&whole_template(), TemplateKind::Job);
    assert!(findings.is_empty(), "{findings:?}");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn configurations_mean_the_same_once_written(text in pieces(INI)) {
        properties::ini(&text);
    }

    #[test]
    fn a_setting_comes_back_as_it_was_set(lines in prop::collection::vec(prop_oneof![3 => line(), 1 => Just(String::new())], 1..5)) {
        let value = lines.join("\n").trim_matches('\n').to_string();
        let mut config = Config::empty();
        config.set("telemetry.identifier", &value).unwrap();
        prop_assert_eq!(config.get("telemetry.identifier").unwrap(), value.as_str());
        let read = Document::parse(&config.document().render(), "here").unwrap();
        prop_assert_eq!(&read, config.document());
    }

    #[test]
    fn manifests_come_back_as_they_were_made(
        names in prop::collection::btree_set(prop::collection::vec(file_name(), 1..4), 1..8),
        size in any::<u32>(),
        mtime in any::<i64>(),
    ) {
        let entries = names.iter().map(|parts| {
            let path = parts.join("/");
            Entry { hash: hash_bytes(path.as_bytes()), path, size: size.into(), mtime }
        });
        let manifest = Manifest::new(entries.collect());
        prop_assert_eq!(Manifest::decode(&manifest.encode(), "here").unwrap(), manifest.clone());
        properties::manifest(&manifest.encode());
    }

    #[test]
    fn no_manifest_leads_out_of_its_root(path in pieces(PATHS), size in any::<u64>()) {
        properties::relative_path(&path);
        let file = |path: &str| json!({"path": path, "hash": "ab", "size": size, "mtime": 1});
        let document = json!({
            "manifestVersion": "2023-03-03",
            "hashAlg": "xxh128",
            "paths": [file(&path), file("beside")],
            "totalSize": 0,
        });
        properties::manifest(document.to_string().as_bytes());
    }

    #[test]
    fn path_mapping_leads_below_the_destination(
        format in prop::sample::select(vec!["POSIX", "WINDOWS", "URI"]),
        source in pieces(PATHS),
        destination in pieces(PATHS),
        rest in pieces(PATHS),
    ) {
        let rule: PathMappingRule = serde_json::from_value(
            json!({"source_path_format": format, "source_path": source, "destination_path": destination})
        ).unwrap();
        properties::path_mapping(&rule, &rest);
        properties::path_mapping(&rule, &format!("{source}{rest}"));
    }

    #[test]
    fn a_path_below_the_source_is_mapped_and_one_beside_it_is_not(
        parts in prop::collection::vec(file_name(), 1..4),
        below in prop::collection::vec(file_name(), 0..4),
    ) {
        let source = format!("/{}", parts.join("/"));
        let rule: PathMappingRule = serde_json::from_value(
            json!({"source_path_format": "POSIX", "source_path": source, "destination_path": "/mnt/files"})
        ).unwrap();
        let rest: String = below.iter().map(|part| format!("/{part}")).collect();
        prop_assert_eq!(rule.apply(&format!("{source}{rest}")), Some(format!("/mnt/files{rest}")));
        prop_assert_eq!(rule.apply(&format!("{source}-other{rest}")), None);
        prop_assert_eq!(rule.apply(&format!("/beside{source}")), None);
    }

    #[test]
    fn checking_a_template_agrees_with_decoding_it(text in broken_template()) {
        properties::template(&text);
    }

    #[test]
    fn any_text_is_a_template_or_has_findings(text in pieces(&[
        "steps", ":", " ", "\n", "- ", "{", "}", "[", "]", "'", "\"", "&a", "*a", "!!binary", "|", ">", "a", "1", "~", "? ", "---\n",
        "specificationVersion: jobtemplate-2023-09\n", "name: x\n", "\t", "#", "%", "é", "<<: *a",
    ])) {
        properties::template(&text);
    }
}
