//! A value that must not be seen: no `Debug`, no `Display`, no serialisation, so it cannot reach a log by accident.

/// Holds a secret. [`Secret::expose`] is the one way in, and easy to search for.
#[derive(Clone)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Every caller must have a reason to see it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}
