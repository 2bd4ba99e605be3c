//! The messages that travel: our own `.proto` files and what is generated from them.
//!
//! Deliberately absent: logic. The field options in `options.proto` are read by `kind::schema`.

pub mod codec;

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

/// Generated message types, by protobuf package.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    reason = "generated from the .proto files"
)]
pub mod message {
    include!(concat!(env!("OUT_DIR"), "/messages.rs"));
}

/// Descriptors of every message in `src/wire/proto`, with our field options.
///
/// # Panics
/// Never in a build that passed its tests: the bytes are made by `build.rs` in the same build.
pub static DESCRIPTORS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "the bytes come from our own build script")]
    DescriptorPool::decode(include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin")).as_slice())
        .expect("the build script wrote valid descriptors")
});
