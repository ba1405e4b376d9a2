//! Manifests: canonical bytes, checks, merging. The bytes are compared with the official library's in Python.

use shotput_core::attachments::hash::hash_bytes;
use shotput_core::attachments::manifest::{Entry, Manifest};
use shotput_core::attachments::paths::{Host, check_relative};

fn entry(path: &str, size: u64) -> Entry {
    Entry { path: path.into(), hash: hash_bytes(path.as_bytes()), size, mtime: 1_700_000_000_000_001 }
}

fn document(path: &str) -> String {
    let path = serde_json::to_string(path).unwrap();
    format!(
        r#"{{"hashAlg":"xxh128","manifestVersion":"2023-03-03","paths":[{{"hash":"ab","mtime":1,"path":{path},"size":2}}],"totalSize":2}}"#
    )
}

fn refusal(document: &str) -> String {
    Manifest::decode(document.as_bytes(), "s3://b/m").unwrap_err().to_string()
}

#[test]
fn hashes_are_canonical() {
    assert_eq!(hash_bytes(b""), "99aa06d3014798d86001c324468d497f");
    assert_eq!(hash_bytes(b"a"), "a96faf705af16834e6c632b61e964e1f");
}

#[test]
fn encodes_in_canonical_form() {
    // U+E000 sorts after the surrogates of U+1F600 in UTF-16, before it in UTF-8.
    let manifest = Manifest::new(vec![entry("\u{e000}", 1), entry("\u{1f600}", 2), entry("a\u{7f}\"\\\n", 3)]);
    let text = String::from_utf8(manifest.encode()).unwrap();
    let paths: Vec<&str> =
        text.split("\"path\":").skip(1).map(|rest| rest.split(",\"size\"").next().unwrap()).collect();
    assert_eq!(paths, [r#""a\u007f\"\\\n""#, r#""\ud83d\ude00""#, r#""\ue000""#]);
    assert!(text.starts_with(r#"{"hashAlg":"xxh128","manifestVersion":"2023-03-03","paths":[{"hash":""#), "{text}");
    assert!(text.ends_with(r#""size":1}],"totalSize":6}"#), "{text}");
    assert_eq!(Manifest::decode(text.as_bytes(), "x").unwrap(), manifest);
}

#[test]
fn a_later_manifest_wins() {
    let merged = Manifest::merge([
        Manifest::new(vec![entry("a", 1), entry("b", 1)]),
        Manifest::new(vec![entry("b", 7), entry("c", 1)]),
    ]);
    let sizes: Vec<(&str, u64)> = merged.entries().iter().map(|entry| (entry.path.as_str(), entry.size)).collect();
    assert_eq!(sizes, [("a", 1), ("b", 7), ("c", 1)]);
    assert_eq!(merged.total_size(), 9);
}

#[test]
fn unusable_manifests_are_refused_with_the_reason() {
    let start = "The manifest s3://b/m is not usable: ";
    for (text, reason) in [
        (document("/etc/passwd"), r#"the path "/etc/passwd" is absolute."#),
        (document("C:/x"), r#"the path "C:/x" is absolute."#),
        (document("C:\\x"), r#"the path "C:\\x" is absolute."#),
        (document("\\\\host\\share"), r#"the path "\\\\host\\share" is absolute."#),
        (document(".."), r#"the path ".." leads out of its root."#),
        (document("a/../../x"), r#"the path "a/../../x" leads out of its root."#),
        (document("a//b"), r#"the path "a//b" has an empty part."#),
        (document("a/./b"), r#"the path "a/./b" has an empty part."#),
        (document(""), "a path is empty."),
        (document("a\0b"), r#"the path "a\0b" holds a null character."#),
        (
            document("x").replace("2023-03-03", "2099-01-01"),
            r#"its version is "2099-01-01", and only "2023-03-03" can be read."#,
        ),
        (document("x").replace("manifestVersion", "other"), r#"it has no "manifestVersion"."#),
        (document("x").replace("xxh128", "md5"), r#"its hash algorithm is "md5", and only "xxh128" can be read."#),
        (document("x").replace("\"ab\"", "\"a/b\""), r#"the hash "a/b" of "x" is not alphanumeric."#),
        (document("x").replace("\"ab\"", "\"\""), r#"the hash "" of "x" is not alphanumeric."#),
    ] {
        assert_eq!(refusal(&text), format!("{start}{reason}"));
    }
    let twice = document("x").replace("{\"hash\"", "{\"hash\":\"ab\",\"mtime\":1,\"path\":\"x\",\"size\":2},{\"hash\"");
    assert_eq!(refusal(&twice), format!("{start}it names \"x\" twice."));
    let none = r#"{"hashAlg":"xxh128","manifestVersion":"2023-03-03","paths":[],"totalSize":0}"#;
    assert_eq!(refusal(none), format!("{start}it names no file."));
    let huge = twice.replace("\"path\":\"x\",\"size\":2}]", "\"path\":\"y\",\"size\":18446744073709551615}]");
    assert_eq!(refusal(&huge), format!("{start}its files are larger in all than a number can say."));
    assert!(refusal(&document("x").replace("\"size\":2", "\"size\":-2")).starts_with(start));
    assert!(refusal("[").starts_with(start));
}

#[test]
fn windows_names_are_held_to_windows_rules() {
    for (path, reason) in [
        ("NUL", r#"the path "NUL" names a device of Windows"#),
        ("a/con.txt", r#"the path "a/con.txt" names a device of Windows"#),
        ("COM1/x", r#"the path "COM1/x" names a device of Windows"#),
        ("lpt9.log.txt", r#"the path "lpt9.log.txt" names a device of Windows"#),
        ("a\\..\\..\\x", r#"the path "a\\..\\..\\x" leads out of its root"#),
        ("a:stream", r#"the path "a:stream" holds a character that Windows does not allow in names"#),
        ("a ", r#"the path "a " has a part that ends with a dot or a space"#),
    ] {
        assert_eq!(check_relative(path, Host::Windows), Err(reason.into()));
        // Ordinary names elsewhere: "aux" is a render pass.
        assert_eq!(check_relative(path, Host::Posix), Ok(()));
    }
    assert_eq!(check_relative("COM10/console.txt", Host::Windows), Ok(()));
}
