//! Configuration, and targets resolved from it in made-up environments.

use std::path::Path;

use shotput_core::config::{self, Config, Document, SETTINGS};
use shotput_core::credentials::{CredentialsSource, Target, credentials_source_in, host, is_loopback};
use shotput_core::service::block_on;
use tokio_util::sync::CancellationToken;

use aws_types::os_shim_internal::{Env, Fs};

fn resolve(config: &str, variables: &[(&str, &str)], files: &[(&str, &str)]) -> shotput_core::Result<Target> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    std::fs::write(&path, config).unwrap();
    let config = Config::read(Some(&path))?;
    let mut variables = variables.to_vec();
    variables.push(("HOME", "/home/somebody"));
    let (env, fs) = (Env::from_slice(&variables), Fs::from_slice(files));
    block_on(&CancellationToken::new(), Target::resolve_in(&config, &env, &fs))
}

#[test]
fn every_setting_has_a_section_and_a_known_scope() {
    for setting in SETTINGS {
        assert!(setting.name.contains('.'), "{}", setting.name);
        if let Some(scope) = setting.scope {
            assert!(SETTINGS.iter().any(|other| other.name == scope), "{scope}");
        }
    }
}

#[test]
fn documents_come_back_as_they_were_written() {
    let mut document = Document::default();
    document.set("profile-(default) farm-1 defaults", "queue_id", "queue-1");
    document.set("settings", "known_asset_paths", "/a\n/b");
    document.set("settings", "KEY", " x=y:z ;# ");
    document.set("empty", "key", "");
    let parsed = Document::parse(&document.render(), "here").unwrap();
    let mut expected = document.clone();
    // Spaces around a value are not kept by the dialect.
    expected.set("settings", "key", "x=y:z ;#");
    assert_eq!(parsed, expected);
    assert_eq!(Document::parse(&parsed.render(), "here").unwrap(), parsed);
}

#[test]
fn no_text_makes_the_reader_panic_or_change_its_mind() {
    // A small generator instead of a dictionary: every mix of the characters that mean something.
    let alphabet = ["[", "]", "=", ":", "#", ";", "\n", " ", "\t", "a", "%", "(", ")s", "\u{feff}", "é", "\r\n"];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..12 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text.push_str(alphabet[(state % alphabet.len() as u64) as usize]);
        }
        if let Ok(document) = Document::parse(&text, "here") {
            let again = Document::parse(&document.render(), "here").unwrap_or_else(|err| panic!("{text:?}: {err}"));
            let values =
                |document: &Document| document.sections().iter().map(|s| s.entries.clone()).collect::<Vec<_>>();
            assert_eq!(values(&again), values(&document), "{text:?}");
        }
    }
}

#[test]
fn values_are_those_of_pythons_configparser() {
    let text = "[settings]\nca_bundle: a=b:c\nlocale = c\nknown_asset_paths = /a\n\n\t/b\n\n  /c\n\nlog_level = x\nlocale = d\n e\n";
    let document = Document::parse(text, "here").unwrap();
    assert_eq!(document.get("settings", "ca_bundle"), Some("a=b:c"));
    assert_eq!(document.get("settings", "locale"), Some("d\ne"));
    assert_eq!(document.get("settings", "known_asset_paths"), Some("/a\n\n/b\n\n/c"));
    assert_eq!(document.get("settings", "log_level"), Some("x"));
}

#[test]
fn references_without_end_come_to_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let again = "%(identifier)s".repeat(40);
    std::fs::write(&path, format!("[telemetry]\nidentifier = {again}\n")).unwrap();
    let value = Config::read(Some(&path)).unwrap().get("telemetry.identifier").unwrap();
    assert!(value.starts_with("%(identifier)s"), "{}", value.len());
    assert!(value.len() < 1_000_000, "{}", value.len());
}

#[test]
fn booleans() {
    for text in ["yes", "on", "TRUE", "1"] {
        assert!(config::parse_bool(text).unwrap(), "{text}");
    }
    for text in ["no", "Off", "false", "0"] {
        assert!(!config::parse_bool(text).unwrap(), "{text}");
    }
    assert_eq!(
        config::parse_bool("maybe").unwrap_err().to_string(),
        "\"maybe\" is not a valid boolean value. Use one of yes, on, true, 1, no, off, false, 0."
    );
}

#[test]
fn settings_of_the_wrong_kind_name_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    std::fs::write(&path, "[settings]\nauto_accept = maybe\nmax_retries_per_task = many\n").unwrap();
    let config = Config::read(Some(&path)).unwrap();
    assert_eq!(
        config.get_bool("settings.auto_accept").unwrap_err().to_string(),
        format!(
            "The setting settings.auto_accept in {}: \"maybe\" is not a valid boolean value. Use one of yes, on, true, 1, \
             no, off, false, 0.",
            path.display()
        )
    );
    assert_eq!(
        config.get_number("settings.max_retries_per_task").unwrap_err().to_string(),
        format!(
            "The setting settings.max_retries_per_task in {} is \"many\", which is not a whole number. Set it to one, for \
             example 5.",
            path.display()
        )
    );
}

#[test]
fn a_write_that_fails_leaves_the_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("file");
    std::fs::write(&blocked, "x").unwrap();
    let mut config = Config::read(Some(Path::new("/proc/nothing/config"))).unwrap();
    config.set("defaults.farm_id", "farm-1").unwrap();
    let text = config.write().unwrap_err().to_string();
    assert!(text.starts_with("Cannot write the configuration /proc/nothing/config: "), "{text}");
    assert!(text.ends_with(". Check the folder, its permissions and the free space; the file is unchanged."), "{text}");
}

#[test]
fn endpoints_come_from_the_most_special_place() {
    let aws = "[default]\nregion = eu-west-1\nendpoint_url = http://profile\nservices = local\n[services local]\n\
               deadline =\n  endpoint_url = http://service\n";
    let files = [("/home/somebody/.aws/config", aws)];
    let target = resolve("", &[], &files).unwrap();
    assert_eq!(target.endpoint_url.as_deref(), Some("http://service"));
    assert_eq!(target.s3_endpoint_url.as_deref(), Some("http://profile"));
    assert_eq!(target.region, "eu-west-1");

    let target = resolve("", &[("AWS_ENDPOINT_URL", "http://all"), ("AWS_REGION", "us-east-2")], &files).unwrap();
    assert_eq!(target.endpoint_url.as_deref(), Some("http://all"));
    assert_eq!(target.logs_endpoint_url.as_deref(), Some("http://all"));
    assert_eq!(target.region, "us-east-2");

    for variable in ["AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "AWS_ENDPOINT_URL_CLOUDWATCHLOGS"] {
        let target = resolve("", &[("AWS_ENDPOINT_URL", "http://all"), (variable, "http://logs")], &files).unwrap();
        assert_eq!(target.logs_endpoint_url.as_deref(), Some("http://logs"), "{variable}");
    }

    let target = resolve("", &[("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")], &files).unwrap();
    assert_eq!(target.endpoint_url, None);
}

#[test]
fn a_target_takes_what_the_configuration_says() {
    let config = "[defaults]\naws_profile_name = studio\n[profile-studio defaults]\nfarm_id = farm-1\n\
                  [profile-studio farm-1 defaults]\nqueue_id = queue-1\nfarm_region = ap-south-1\n\
                  [profile-studio farm-1 settings]\nstorage_profile_id = sp-1\n\
                  [settings]\nhttps_proxy = http://proxy:8080\nca_bundle = /etc/ca.pem\n";
    let aws =
        "[profile studio]\nregion = eu-west-1\nmonitor_id = m\nuser_id = u\ndisable_host_prefix_injection = true\n";
    let target = resolve(config, &[], &[("/home/somebody/.aws/config", aws)]).unwrap();
    assert_eq!((target.farm_id.as_str(), target.queue_id.as_str()), ("farm-1", "queue-1"));
    assert_eq!(target.storage_profile_id.as_deref(), Some("sp-1"));
    assert_eq!(target.region, "ap-south-1");
    assert_eq!(target.profile.as_deref(), Some("studio"));
    assert_eq!(target.principal_id.as_deref(), Some("u"));
    assert_eq!(target.proxy.as_deref(), Some("http://proxy:8080"));
    assert_eq!(target.ca_bundle.as_deref(), Some(Path::new("/etc/ca.pem")));
    assert!(target.keep_host);
}

#[test]
fn the_source_of_credentials() {
    let config = Config::empty();
    let files = [("/home/somebody/.aws/config", "[default]\nmonitor_id = m\n")];
    let (env, fs) = (Env::from_slice(&[("HOME", "/home/somebody")]), Fs::from_slice(&files));
    let source = block_on(&CancellationToken::new(), credentials_source_in(&config, &env, &fs)).unwrap();
    assert_eq!(source, CredentialsSource::DeadlineCloudMonitorLogin);
}

#[test]
fn a_proxy_that_is_no_url() {
    let target = Target { proxy: Some("not a url".into()), ..Target::default() };
    let text = target.network().http_client(None).map(|_| ()).unwrap_err().to_string();
    assert!(text.starts_with("The proxy \"not a url\" is not valid: "), "{text}");
    assert!(
        text.ends_with("Set settings.https_proxy to a URL such as http://proxy.example.com:8080, or to nothing."),
        "{text}"
    );
}

#[test]
fn hosts() {
    for (url, expected) in [
        ("http://localhost:80/x", Some("localhost")),
        ("https://user@[::1]:80", Some("::1")),
        ("http://a.b.c", Some("a.b.c")),
        ("nothing", None),
    ] {
        assert_eq!(host(url), expected, "{url}");
    }
    for name in ["localhost", "x.LOCALHOST", "127.0.0.1", "127.9.9.9", "::1"] {
        assert!(is_loopback(name), "{name}");
    }
    for name in ["localhost.example.com", "notlocalhost", "10.0.0.1"] {
        assert!(!is_loopback(name), "{name}");
    }
}
