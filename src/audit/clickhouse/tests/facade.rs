//! The engine that the tests ask, as a server of the sink.

#[path = "../../../../tests/facade/engine.rs"]
mod engine;

use std::ops::Deref;
use std::time::Duration;

use crate::audit::clickhouse::{Server, migrate};
use engine::Engine;

/// An engine of its own for one test; ended with it.
pub struct Facade(Engine);

impl Deref for Facade {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.0
    }
}

impl Facade {
    /// `None`, said aloud, where there is no engine.
    pub fn start() -> Option<Self> {
        Engine::start().map(Self)
    }

    pub fn server(&self) -> Server {
        Self::server_at(self.url.clone())
    }

    /// An engine that another process has started.
    pub fn server_at(url: String) -> Server {
        Server {
            url,
            database: "tollgate".to_owned(),
            user: "default".to_owned(),
            password: None,
            timeout: Duration::from_secs(30),
        }
    }

    pub fn migrate(&self) -> Vec<&'static str> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(migrate(&self.server())).unwrap()
    }
}
