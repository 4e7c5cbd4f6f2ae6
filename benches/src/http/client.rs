//! One caller that asks one thing after another.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::load::length;
use super::text;

pub struct Client {
    port: u16,
    stream: TcpStream,
    token: String,
    answer: Vec<u8>,
}

impl Client {
    pub fn connect(port: u16, token: String) -> Result<Self, String> {
        Ok(Self {
            port,
            stream: connect(port)?,
            token,
            answer: Vec::new(),
        })
    }

    pub fn connect_anew(&mut self) -> Result<(), String> {
        self.stream = connect(self.port)?;
        Ok(())
    }

    /// The answer, and how long it took to come.
    pub fn ask(&mut self, method: &str, path: &str, body: &Value) -> Result<(Value, Duration), String> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        let begun = Instant::now();
        self.stream.write_all(request.as_bytes()).map_err(text)?;
        self.answer.clear();
        let mut part = vec![0; 64 << 10];
        let whole = loop {
            match length(&self.answer) {
                Some(whole) if self.answer.len() >= whole => break whole,
                _ => match self.stream.read(&mut part).map_err(text)? {
                    0 => return Err(format!("{method} {path}: half an answer")),
                    read => self.answer.extend_from_slice(&part[..read]),
                },
            }
        };
        let took = begun.elapsed();
        let answer = &self.answer[..whole];
        let head = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(0);
        if !answer.starts_with(b"HTTP/1.1 2") {
            let said = String::from_utf8_lossy(answer);
            return Err(format!("{method} {path}: {said}"));
        }
        let value = serde_json::from_slice(&answer[head + 4..]).map_err(text)?;
        Ok((value, took))
    }
}

fn connect(port: u16) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(("127.0.0.1", port)).map_err(text)?;
    stream.set_nodelay(true).map_err(text)?;
    Ok(stream)
}
