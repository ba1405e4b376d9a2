//! Every integration test of the core in one binary: one link for all.

mod attachments_download;
mod attachments_manifest;
mod attachments_server;
mod attachments_settings;
mod attachments_upload;
mod client_config;
mod client_server;
mod client_service;
mod images;
mod objects_sdk;
#[cfg(unix)]
mod openjd_sessions;
mod properties;
mod property_tests;
