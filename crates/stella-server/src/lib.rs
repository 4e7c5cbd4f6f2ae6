//! Use cases, HTTP API and configuration of Stella.
//!
//! `app` decides, `http` translates. A request goes: extract, use case,
//! respond; everything that can go wrong is one [`app::Error`], turned into a
//! problem document in one place.

pub mod app;
pub mod backup;
pub mod clock;
pub mod config;
pub mod database;
pub mod doctor;
pub mod entropy;
pub mod home;
pub mod hsm;
pub mod http;
pub mod instance;
pub mod logging;
pub mod serve;
pub mod user;
