//! What holds for any input, however odd: for the generators of `property_tests` and for the fuzzer (`native/fuzz`).

use std::path::Path;

use shotput_core::attachments::manifest::Manifest;
use shotput_core::attachments::paths::{Host, check_relative, normalize, relative_text};
use shotput_core::config::Document;
use shotput_core::openjd::document;
use shotput_core::openjd::sessions::PathMappingRule;
use shotput_core::openjd::template::{EnvironmentTemplate, JobTemplate, TemplateKind, check_text};

/// A configuration that can be read means the same once it was written.
pub fn ini(text: &str) {
    let Ok(document) = Document::parse(text, "here") else { return };
    let written = document.render();
    let again = Document::parse(&written, "here").unwrap_or_else(|err| panic!("{text:?} became {written:?}: {err}"));
    assert_eq!(again, document, "{text:?} became {written:?}");
}

/// A manifest that is taken names only files below its root, adds up, and has one canonical form.
pub fn manifest(bytes: &[u8]) {
    let Ok(manifest) = Manifest::decode(bytes, "here") else { return };
    for entry in manifest.entries() {
        relative_path(&entry.path);
    }
    let canonical = manifest.encode();
    let again = Manifest::decode(&canonical, "here").unwrap();
    assert_eq!((&again, again.encode(), again.total_size()), (&manifest, canonical, manifest.total_size()));
}

/// A path that is taken as relative lies below any root, and comes back from there.
pub fn relative_path(path: &str) {
    if check_relative(path, Host::current()).is_err() {
        return;
    }
    let root = Path::new("/projects/shot");
    let joined = normalize(&root.join(path)).unwrap();
    assert!(joined.starts_with(root), "{path:?} leads to {}", joined.display());
    assert_eq!(relative_text(&joined, root, '/').unwrap(), path);
    if check_relative(path, Host::Windows).is_ok() {
        assert!(!path.contains(':') && path.split(['/', '\\']).all(|part| part != ".."), "{path:?}");
    }
}

/// A mapped path begins with the rule's destination, and mapping it back by the turned rule leads home.
pub fn path_mapping(rule: &PathMappingRule, path: &str) {
    let Some(mapped) = rule.apply(path) else { return };
    assert!(mapped.starts_with(&rule.destination_path), "{rule:?} maps {path:?} to {mapped:?}");
    let back = PathMappingRule {
        source_path_format: rule.source_path_format,
        source_path: rule.destination_path.clone(),
        destination_path: rule.source_path.clone(),
    };
    if let Some(home) = back.apply(&mapped) {
        assert!(home.starts_with(&rule.source_path), "{back:?} maps {mapped:?} to {home:?}");
    }
}

/// Checking a template says nothing exactly when decoding it works, and says the same each time.
pub fn template(text: &str) {
    for kind in [TemplateKind::Job, TemplateKind::Environment] {
        let findings = check_text(text, kind);
        assert_eq!(check_text(text, kind), findings);
        assert!(findings.iter().all(|finding| !finding.message.is_empty()), "{findings:?}");
        let decoded = document::parse(text).is_ok_and(|document| match kind {
            TemplateKind::Job => JobTemplate::decode(document).is_ok(),
            TemplateKind::Environment => EnvironmentTemplate::decode(document).is_ok(),
        });
        assert_eq!(decoded, findings.is_empty(), "{text:?}: {findings:?}");
    }
}
