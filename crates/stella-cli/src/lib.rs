pub fn main() {}
pub mod client;
