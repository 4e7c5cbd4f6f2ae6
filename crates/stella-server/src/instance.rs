//! An instance: a home opened, its parts put together.
