//! The object store, seen by the Rust SDK: path style, all its checksums (as trailers, which boto3 sends over TLS only),
//! temporary keys.

use std::path::Path;

use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Region, RequestChecksumCalculation, retry::RetryConfig};
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier,
};
use shotput_core::objects::{AccessKey, ObjectStore};

const BUCKET: &str = "shotput-local";

fn key(prefix: &str, session_token: Option<&str>) -> AccessKey {
    AccessKey {
        secret_access_key: "secret".into(),
        session_token: session_token.map(str::to_owned),
        bucket: BUCKET.into(),
        prefix: prefix.into(),
        expires_at: None,
        read_only: false,
    }
}

fn serve(root: &Path) -> ObjectStore {
    let store = ObjectStore::new(root, "127.0.0.1", 0);
    store.add_credentials("AKIDTEST", key("", None)).unwrap();
    store.start().unwrap();
    store
}

fn client(store: &ObjectStore, access_key_id: &str, session_token: Option<&str>) -> Client {
    let credentials = Credentials::new(access_key_id, "secret", session_token.map(str::to_owned), None, "tests");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-west-2"))
        .credentials_provider(credentials)
        .endpoint_url(store.endpoint().unwrap())
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenSupported)
        .build();
    Client::from_conf(config)
}

fn body(length: usize) -> Vec<u8> {
    (0u32..).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).take(length).collect()
}

async fn get(client: &Client, key: &str) -> Vec<u8> {
    let output = client.get_object().bucket(BUCKET).key(key).checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
    output.body.collect().await.unwrap().to_vec()
}

#[tokio::test]
async fn objects_come_back_with_every_checksum() {
    let root = tempfile::tempdir().unwrap();
    let store = serve(root.path());
    let client = client(&store, "AKIDTEST", None);
    let algorithms = [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32C,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256,
    ];
    for algorithm in algorithms {
        for length in [0, 20_000, 3_000_000] {
            let body = body(length);
            let put = client.put_object().bucket(BUCKET).key("x").checksum_algorithm(algorithm.clone());
            put.body(ByteStream::from(body.clone())).metadata("asset-root", "/a").send().await.unwrap();
            // The SDK verifies what comes back against the stored checksum.
            assert_eq!(get(&client, "x").await, body, "{algorithm:?} {length}");
        }
    }
}

#[tokio::test]
async fn files_of_the_client_are_streamed_with_a_trailer() {
    let root = tempfile::tempdir().unwrap();
    let store = serve(root.path());
    let client = client(&store, "AKIDTEST", None);
    let file = root.path().join("source");
    let body = body(5_000_000);
    std::fs::write(&file, &body).unwrap();
    let stream = ByteStream::from_path(&file).await.unwrap();
    let put = client.put_object().bucket(BUCKET).key("x").checksum_algorithm(ChecksumAlgorithm::Crc64Nvme);
    let put = put.body(stream).send().await.unwrap();
    assert!(put.checksum_crc64_nvme().is_some());
    assert_eq!(get(&client, "x").await, body);
}

#[tokio::test]
async fn a_wrong_checksum_is_refused_and_stores_nothing() {
    let root = tempfile::tempdir().unwrap();
    let store = serve(root.path());
    let client = client(&store, "AKIDTEST", None);
    let put = client.put_object().bucket(BUCKET).key("x").checksum_crc64_nvme("AAAAAAAAAAA=");
    let refused = put.body(ByteStream::from_static(b"hello")).send().await.unwrap_err().into_service_error();
    assert_eq!(refused.code(), Some("BadDigest"));
    let missing = client.head_object().bucket(BUCKET).key("x").send().await.unwrap_err().into_service_error();
    assert!(missing.is_not_found());
}

#[tokio::test]
async fn parts_become_one_object() {
    let root = tempfile::tempdir().unwrap();
    let store = serve(root.path());
    let client = client(&store, "AKIDTEST", None);
    let body = body(12 * 1024 * 1024);
    let create = client.create_multipart_upload().bucket(BUCKET).key("big");
    let create = create.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme).checksum_type(ChecksumType::FullObject);
    let upload = create.send().await.unwrap().upload_id.unwrap();
    let mut parts = Vec::new();
    for (number, chunk) in (1..).zip(body.chunks(5 * 1024 * 1024)) {
        let part = client.upload_part().bucket(BUCKET).key("big").upload_id(&upload).part_number(number);
        let part = part.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme).body(ByteStream::from(chunk.to_vec()));
        let part = part.send().await.unwrap();
        let named = CompletedPart::builder().part_number(number).set_e_tag(part.e_tag);
        parts.push(named.set_checksum_crc64_nvme(part.checksum_crc64_nvme).build());
    }
    let named = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete = client.complete_multipart_upload().bucket(BUCKET).key("big").upload_id(&upload);
    let complete = complete.multipart_upload(named).mpu_object_size(12 * 1024 * 1024).send().await.unwrap();
    assert_eq!(complete.checksum_type(), Some(&ChecksumType::FullObject));
    assert_eq!(get(&client, "big").await, body);
    let range = client.get_object().bucket(BUCKET).key("big").range("bytes=6000000-6000009").send().await.unwrap();
    assert_eq!(range.body.collect().await.unwrap().to_vec(), body[6_000_000..6_000_010]);
}

#[tokio::test]
async fn listings_have_pages_and_removal_takes_many() {
    let root = tempfile::tempdir().unwrap();
    let store = serve(root.path());
    let client = client(&store, "AKIDTEST", None);
    for number in 0..25 {
        let key = format!("Data/{number:02} é+&");
        client.put_object().bucket(BUCKET).key(key).body(ByteStream::default()).send().await.unwrap();
    }
    let mut pages = client.list_objects_v2().bucket(BUCKET).prefix("Data/").into_paginator().page_size(10).send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        found.extend(page.unwrap().contents.unwrap_or_default().into_iter().filter_map(|object| object.key));
    }
    assert_eq!(found.len(), 25);
    assert!(found.is_sorted());
    assert_eq!(found[7], "Data/07 é+&");
    let objects = found.iter().map(|key| ObjectIdentifier::builder().key(key).build().unwrap()).collect();
    let delete = Delete::builder().set_objects(Some(objects)).build().unwrap();
    let deleted = client.delete_objects().bucket(BUCKET).delete(delete).send().await.unwrap();
    assert_eq!(deleted.deleted().len(), 25);
    assert_eq!(client.list_objects_v2().bucket(BUCKET).send().await.unwrap().key_count(), Some(0));
}

#[tokio::test]
async fn a_put_can_ask_for_absence() {
    let root = tempfile::tempdir().unwrap();
    let store = serve(root.path());
    let client = client(&store, "AKIDTEST", None);
    let put = || client.put_object().bucket(BUCKET).key("x").if_none_match("*").body(ByteStream::from_static(b"x"));
    put().send().await.unwrap();
    let refused = put().send().await.unwrap_err().into_service_error();
    assert_eq!(refused.code(), Some("PreconditionFailed"));
}

#[tokio::test]
async fn temporary_keys_need_their_token_and_stay_in_their_folder() {
    let root = tempfile::tempdir().unwrap();
    let store = serve(root.path());
    store.add_credentials("ASIATEMP", key("Farm", Some("token"))).unwrap();
    let put = |client: Client, key: &'static str| async move {
        let sent = client.put_object().bucket(BUCKET).key(key).body(ByteStream::from_static(b"x")).send().await;
        sent.map(|_| ()).map_err(|err| err.into_service_error().code().unwrap_or_default().to_owned())
    };
    assert_eq!(put(client(&store, "ASIATEMP", Some("token")), "Farm/x").await, Ok(()));
    assert_eq!(put(client(&store, "ASIATEMP", Some("token")), "x").await, Err("AccessDenied".into()));
    assert_eq!(put(client(&store, "ASIATEMP", Some("other")), "Farm/x").await, Err("InvalidToken".into()));
    assert_eq!(put(client(&store, "ASIATEMP", None), "Farm/x").await, Err("InvalidToken".into()));
}

#[test]
fn a_store_can_be_closed_from_a_runtime_and_opened_again() {
    let root = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for _ in 0..3 {
        let store = serve(root.path());
        runtime.block_on(async {
            let client = client(&store, "AKIDTEST", None);
            client.put_object().bucket(BUCKET).key("x").body(ByteStream::from_static(b"x")).send().await.unwrap();
            // Connections that clients keep open do not hold up the end.
            let begun = std::time::Instant::now();
            store.close();
            assert!(begun.elapsed().as_secs() < 2);
        });
        assert!(store.endpoint().is_err());
    }
}
