//! Every integration test of the core in one binary: one link for all.

mod attachments_download;
mod attachments_manifest;
mod attachments_server;
mod attachments_upload;
mod images;
mod objects_sdk;
