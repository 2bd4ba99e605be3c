//! gRPC statuses as the plane gives them.

/// The numbers that gRPC gives to its codes.
pub mod code {
    /// Anything without a better code.
    pub const UNKNOWN: i32 = 2;
    /// The request is wrong.
    pub const INVALID_ARGUMENT: i32 = 3;
    /// No such resource.
    pub const NOT_FOUND: i32 = 5;
    /// The name is taken.
    pub const ALREADY_EXISTS: i32 = 6;
    /// Refused.
    pub const PERMISSION_DENIED: i32 = 7;
    /// Too many already.
    pub const RESOURCE_EXHAUSTED: i32 = 8;
    /// The revision moved.
    pub const FAILED_PRECONDITION: i32 = 9;
    /// No such method.
    pub const UNIMPLEMENTED: i32 = 12;
    /// Our own fault, or bytes that are no message.
    pub const INTERNAL: i32 = 13;
    /// Try again later.
    pub const UNAVAILABLE: i32 = 14;
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("code {code}: {message}")]
pub struct Status {
    /// The gRPC code's number, see [`code`].
    pub code: i32,
    /// The text, as the real server words it where that is known.
    pub message: String,
}

impl Status {
    /// A status of that code.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The request is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(code::INVALID_ARGUMENT, message)
    }

    /// No such resource.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(code::NOT_FOUND, message)
    }

    /// The name is taken.
    pub fn exists(message: impl Into<String>) -> Self {
        Self::new(code::ALREADY_EXISTS, message)
    }

    /// Refused.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(code::PERMISSION_DENIED, message)
    }

    /// Too many already.
    pub fn exhausted(message: impl Into<String>) -> Self {
        Self::new(code::RESOURCE_EXHAUSTED, message)
    }

    /// The state is not what the caller believes.
    pub fn precondition(message: impl Into<String>) -> Self {
        Self::new(code::FAILED_PRECONDITION, message)
    }

    /// No such method.
    pub fn unimplemented(message: impl Into<String>) -> Self {
        Self::new(code::UNIMPLEMENTED, message)
    }

    /// Anything without a better code.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::new(code::UNKNOWN, message)
    }

    /// Our own fault, or bytes that are no message.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(code::INTERNAL, message)
    }

    /// Try again later.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(code::UNAVAILABLE, message)
    }
}
